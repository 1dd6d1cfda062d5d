"""Table 8 of the study: a gate that sees the step, with the weights of the plain one.

    python -m docs.study.steps [HOST ...] [--seeds 5]

On the uniform grid both are one function, so they have the same weights; told the gaps, the memories of one are counted
in steps of time and those of the other in samples. Writes results/steps-HOST.json. Trained apart, on varied grids:
`python -m docs.study.sampling s4d_timed --train mix`.
"""

from __future__ import annotations

import argparse

from docs.study.files import write
from docs.study.sampling import HERE, HOSTS, RECIPE, compact, one_of, tell
from smrdsl.probe.fit import Recipe
from smrdsl.probe.run import lab_of
from smrdsl.probe.sampling import sampling
from smrdsl.probe.subject import SMR, subject_of


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("hosts", nargs="*", type=one_of(HOSTS), default=("s4d", "s5"))
    options.add_argument("--seeds", type=int, default=5)
    o = options.parse_args()
    for host in o.hosts:
        subject = subject_of(HERE / "hosts.smr", f"{host}_host")
        lab = lab_of(subject, "next", o.seeds, False, Recipe(**RECIPE), tell)
        write(f"steps-{host}", {"errors": compact(sampling(lab, [SMR]))["errors"]})


if __name__ == "__main__":
    main()
