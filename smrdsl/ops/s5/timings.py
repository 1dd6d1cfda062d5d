"""Timings of s5: what `python -m benchmarks.strategies s5` printed on two x86-64 cores with AVX-512."""

from smrdsl.ops.contract import Timing

TIMINGS = {
    "scan": (
        Timing(1, 0.24, 1.24),
        Timing(4, 0.295, 1.61),
        Timing(16, 0.455, 2.35),
        Timing(64, 1.09, 4.92),
        Timing(256, 2.1, 8.09),
        Timing(1024, 5.87, 22.4),
        Timing(4096, 21.1, 82.6),
        Timing(16384, 72.7, 520),
    ),
    "conv": (
        Timing(1, 0.434, 1.62),
        Timing(4, 0.569, 2.09),
        Timing(16, 0.768, 2.92),
        Timing(64, 1.19, 4.18),
        Timing(256, 2.87, 9.36),
        Timing(1024, 9.38, 30),
        Timing(4096, 40.8, 132),
        Timing(16384, 216, 940),
    ),
    "recurrent": (
        Timing(1, 0.446, 1.6),
        Timing(4, 0.538, 1.86),
        Timing(16, 0.655, 3.09),
        Timing(64, 1.51, 6.75),
        Timing(256, 4.27, 20.7),
        Timing(1024, 14.8, 77.6),
    ),
    "recurrent+native": (
        Timing(1, 0.253, 1.27),
        Timing(4, 0.354, 1.68),
        Timing(16, 0.408, 1.89),
        Timing(64, 0.577, 2.45),
        Timing(256, 1.31, 4.91),
        Timing(1024, 4.13, 15.7),
        Timing(4096, 15.9, 62.6),
        Timing(16384, 56.3, 460),
    ),
}
