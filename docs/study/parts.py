"""Tables 3, 5 and 6 of the study: the spectrum by hand and in the hosts, the linear host, and insertion.

    python -m docs.study.parts insert|volterra|nss [--seeds 5]
    python -m docs.study.parts cores [HOST ...]

writes results/insert.json, volterra.json, nss.json, and cores-HOST.json for each host.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from docs.study.files import write
from docs.study.sampling import HOSTS, RECIPE, one_of, tell
from smrdsl.probe.fit import Recipe
from smrdsl.probe.handmade import handmade
from smrdsl.probe.run import probe

HERE = Path(__file__).parent / "hosts.smr"
CURVES = ("times", "deviation", "bound", "relative")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("part", choices=("insert", "volterra", "nss", "cores"))
    options.add_argument("hosts", nargs="*", type=one_of(HOSTS), default=HOSTS)
    options.add_argument("--seeds", type=int, default=5)
    o = options.parse_args()
    match o.part:
        case "nss":
            write("nss", [_without_curves(asdict(g)) for g in handmade()])
        case "cores":
            for host in o.hosts:
                write(f"cores-{host}", _cores(host))
        case _:
            recipe = Recipe(**RECIPE)
            found = probe(HERE, o.part, model="s4d_host", seeds=o.seeds, recipe=recipe, tell=tell)
            write(o.part, asdict(getattr(found, o.part)))


def _cores(host: str) -> list[dict[str, Any]]:
    """The cores of a host, with and without SMR, from seed 0."""
    found = probe(HERE, "nss", model=f"{host}_host", seeds=1, recipe=Recipe(**RECIPE), tell=tell).nss
    assert found is not None
    return [_without_curves(asdict(d)) for d in found.cores]


def _without_curves(data: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in data.items() if k not in CURVES}


if __name__ == "__main__":
    main()
