"""Timings of s6: what `python -m benchmarks.strategies s6` printed on an x86-64 core with AVX-512."""

from smrdsl.ops.contract import Timing

TIMINGS = {
    "scan": (
        Timing(1, 0.243, 1.02),
        Timing(4, 0.322, 1.37),
        Timing(16, 1.26, 4.42),
        Timing(64, 3.53, 12.8),
        Timing(256, 11.2, 36.6),
        Timing(1024, 33.9, 131),
        Timing(4096, 135, 514),
        Timing(16384, 590, 2320),
    ),
    "recurrent": (
        Timing(1, 0.161, 0.664),
        Timing(4, 0.292, 1.57),
        Timing(16, 0.88, 4.8),
        Timing(64, 3.23, 19.2),
        Timing(256, 12.7, 71.9),
        Timing(1024, 50.9, 305),
    ),
}
