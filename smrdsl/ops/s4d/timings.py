"""Timings of s4d: what `python -m benchmarks.strategies s4d` printed on two x86-64 cores with AVX-512."""

from smrdsl.ops.contract import Timing

TIMINGS = {
    "conv": (
        Timing(1, 0.316, 2.18),
        Timing(4, 0.424, 3.64),
        Timing(16, 0.503, 5.87),
        Timing(64, 0.956, 10.1),
        Timing(256, 3.39, 30.9),
        Timing(1024, 16, 64.4),
        Timing(4096, 66.7, 235),
        Timing(16384, 353, 1.04e03),
    ),
    "scan": (
        Timing(1, 1.42, 3.32),
        Timing(4, 2.68, 7.35),
        Timing(16, 4.82, 18.4),
        Timing(64, 10.4, 41.6),
        Timing(256, 17.4, 68.8),
        Timing(1024, 27.9, 103),
        Timing(4096, 83.6, 299),
        Timing(16384, 225, 877),
    ),
    "recurrent": (
        Timing(1, 0.553, 3.42),
        Timing(4, 0.88, 4.81),
        Timing(16, 2.09, 12.4),
        Timing(64, 6.56, 41.6),
        Timing(256, 23.2, 165),
        Timing(1024, 88.2, 643),
    ),
    "recurrent+native": (
        Timing(1, 0.396, 2.21),
        Timing(4, 0.51, 3.3),
        Timing(16, 0.652, 3.75),
        Timing(64, 0.846, 5.12),
        Timing(256, 1.93, 12.7),
        Timing(1024, 4.66, 26.1),
        Timing(4096, 15.3, 89.5),
        Timing(16384, 60, 501),
    ),
}
