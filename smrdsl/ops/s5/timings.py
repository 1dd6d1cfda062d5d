"""Timings of s5: what `python -m benchmarks.strategies s5` printed on two x86-64 cores with AVX-512."""

from smrdsl.ops.contract import Timing

TIMINGS = {
    "scan": (
        Timing(1, 0.129, 1.48),
        Timing(4, 0.16, 1.74),
        Timing(16, 0.322, 2.63),
        Timing(64, 1.16, 6.17),
        Timing(256, 2.11, 10.1),
        Timing(1024, 6.23, 26.9),
        Timing(4096, 21, 103),
        Timing(16384, 97.6, 502),
    ),
    "conv": (
        Timing(1, 0.28, 1.99),
        Timing(4, 0.357, 2.6),
        Timing(16, 0.712, 3.43),
        Timing(64, 0.92, 4.89),
        Timing(256, 4.08, 16.1),
        Timing(1024, 11.6, 34.9),
        Timing(4096, 40.3, 171),
        Timing(16384, 252, 1.02e03),
    ),
    "recurrent": (
        Timing(1, 0.155, 1.61),
        Timing(4, 0.159, 1.78),
        Timing(16, 0.321, 2.93),
        Timing(64, 1.1, 6.56),
        Timing(256, 3.85, 20.8),
        Timing(1024, 14.2, 74.1),
    ),
}
