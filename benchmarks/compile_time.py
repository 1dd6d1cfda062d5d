"""How long checking and compiling take, and that the time is linear in layers: `python -m benchmarks.compile_time`.

Process time, each figure the median of three; checking runs in a fresh process, as a user's command does.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LAYERS = (125, 250, 500, 1000)
LAYER = "residual {{ norm(layer)  smr(memory=4)  s4d(state=16)  gelu  dropout(0.1)  glu }}  # layer {i}\n"


def spec(layers: int) -> str:
    """A spec with its layers written out, none by `repeat`."""
    body = "".join("  " + LAYER.format(i=i) for i in range(layers))
    return f"model deep {{\n  signal(channels=1)\n  linear(16)\n{body}  pool(mean)\n  linear(10)\n}}\n"


def check_seconds(text: str) -> tuple[float, float]:
    """(wall, processor) seconds of `smrdsl check` as a whole process."""
    import resource

    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "deep.smr"
        path.write_text(text, encoding="utf-8")
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        code = "import sys; from smrdsl.cli.main import run; code = run(sys.argv[1:]); " \
               "assert 'torch' not in sys.modules; sys.exit(code)"  # fmt: skip
        subprocess.run([sys.executable, "-c", code, "check", str(path)], check=True)
        wall = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compile_seconds(text: str) -> float:
    """Processor seconds of `smrdsl.compile_text`, torch already imported."""
    import torch  # noqa: F401

    import smrdsl

    start = time.process_time()
    smrdsl.compile_text(text)
    return time.process_time() - start


def main() -> None:
    print("layers  check wall  check cpu  compile cpu  compile per layer")
    hundred = spec(96)
    wall, cpu = (statistics.median(x) for x in zip(*(check_seconds(hundred) for _ in range(3)), strict=True))
    print(f"{'100 lines':>9} {wall:7.2f} s {cpu:8.2f} s")
    compile_seconds(spec(4))
    for layers in LAYERS:
        text = spec(layers)
        wall, cpu = (statistics.median(x) for x in zip(*(check_seconds(text) for _ in range(3)), strict=True))
        made = statistics.median(compile_seconds(text) for _ in range(3))
        print(f"{layers:9} {wall:7.2f} s {cpu:8.2f} s {made:10.2f} s {1000 * made / layers:15.2f} ms")


if __name__ == "__main__":
    main()
