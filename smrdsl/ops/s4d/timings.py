"""Timings of s4d: what `python -m benchmarks.strategies s4d` printed on two x86-64 cores with AVX-512."""

from smrdsl.ops.contract import Timing

TIMINGS = {
    "conv": (
        Timing(1, 1.18, 3.49),
        Timing(4, 1.54, 5.28),
        Timing(16, 2.13, 7.34),
        Timing(64, 3.2, 11.7),
        Timing(256, 6.57, 28.3),
        Timing(1024, 20.8, 70.7),
        Timing(4096, 83.8, 253),
        Timing(16384, 344, 1010),
    ),
    "scan": (
        Timing(1, 2.02, 4.57),
        Timing(4, 3.69, 10.4),
        Timing(16, 5.79, 25.8),
        Timing(64, 11.3, 53),
        Timing(256, 15, 64.2),
        Timing(1024, 26.4, 111),
        Timing(4096, 86.7, 340),
        Timing(16384, 280, 903),
    ),
    "recurrent": (
        Timing(1, 0.69, 2.36),
        Timing(4, 1.06, 3.82),
        Timing(16, 2.02, 11.7),
        Timing(64, 6.45, 46),
        Timing(256, 23.6, 181),
        Timing(1024, 134, 842),
    ),
}
