"""Tables 2 to 4 of the study: the spectrum by hand and in the hosts, the linear host, and insertion.

    python -m docs.study.parts [--seeds 5]

writes results/nss.json, volterra.json, insert.json and cores.json.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from docs.study.files import write
from docs.study.sampling import HOSTS, RECIPE, tell
from smrdsl.probe.fit import Recipe
from smrdsl.probe.run import probe

HERE = Path(__file__).parent / "hosts.smr"
CURVES = ("times", "deviation", "bound", "relative")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--seeds", type=int, default=5)
    seeds = options.parse_args().seeds
    recipe = Recipe(**RECIPE)
    inserted = probe(HERE, "insert", model="s4d_host", seeds=seeds, recipe=recipe, tell=tell).insert
    linear = probe(HERE, "volterra", model="s4d_host", seeds=seeds, recipe=recipe, tell=tell).volterra
    assert inserted is not None
    assert linear is not None
    write("insert", asdict(inserted))
    write("volterra", linear.errors)
    cores: list[dict[str, Any]] = []
    for host in HOSTS:
        grown = probe(HERE, "nss", model=f"{host}_host", seeds=1, recipe=recipe, tell=tell).nss
        assert grown is not None
        cores += [{"host": host, **_without_curves(asdict(d))} for d in grown.cores]
        write("nss", [_without_curves(asdict(g)) for g in grown.growths])
        write("cores", cores)


def _without_curves(data: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in data.items() if k not in CURVES}


if __name__ == "__main__":
    main()
