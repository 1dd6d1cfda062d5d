"""Timings of s4: what `python -m benchmarks.strategies s4` printed on two x86-64 cores with AVX-512."""

from smrdsl.ops.contract import Timing

TIMINGS = {
    "conv": (
        Timing(1, 1.17, 5.97),
        Timing(4, 3.11, 10.8),
        Timing(16, 7.65, 23.1),
        Timing(64, 7.88, 30.1),
        Timing(256, 39.6, 111),
        Timing(1024, 43.1, 163),
        Timing(4096, 106, 367),
        Timing(16384, 465, 1130),
    ),
    "scan": (
        Timing(1, 2.72, 6.36),
        Timing(4, 5.75, 16.4),
        Timing(16, 16.4, 49.1),
        Timing(64, 31.5, 126),
        Timing(256, 44.4, 157),
        Timing(1024, 58.6, 225),
        Timing(4096, 152, 681),
        Timing(16384, 372, 1420),
    ),
    "recurrent": (
        Timing(1, 2.33, 4.46),
        Timing(4, 2.6, 9.21),
        Timing(16, 7.51, 29.6),
        Timing(64, 27.1, 110),
        Timing(256, 103, 422),
        Timing(1024, 634, 1840),
    ),
}
