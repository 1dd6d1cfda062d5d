"""Timings of lru: what `python -m benchmarks.strategies lru` printed on two x86-64 cores with AVX-512."""

from smrdsl.ops.contract import Timing

TIMINGS = {
    "scan": (
        Timing(1, 0.448, 2.11),
        Timing(4, 0.519, 2.28),
        Timing(16, 0.792, 3.57),
        Timing(64, 1.97, 7.29),
        Timing(256, 2.68, 10.2),
        Timing(1024, 10.5, 38.6),
        Timing(4096, 33.6, 118),
        Timing(16384, 144, 687),
    ),
    "conv": (
        Timing(1, 0.747, 2.63),
        Timing(4, 0.98, 3.26),
        Timing(16, 1.34, 4.62),
        Timing(64, 2.05, 7.39),
        Timing(256, 4.15, 13.6),
        Timing(1024, 18.5, 58.7),
        Timing(4096, 73.7, 244),
        Timing(16384, 530, 1.76e03),
    ),
    "recurrent": (
        Timing(1, 0.363, 1.54),
        Timing(4, 0.514, 1.78),
        Timing(16, 0.649, 2.61),
        Timing(64, 1.38, 6.39),
        Timing(256, 4.79, 22.1),
        Timing(1024, 16.5, 81.4),
    ),
    "recurrent+native": (
        Timing(1, 0.438, 2.08),
        Timing(4, 0.569, 2.49),
        Timing(16, 0.707, 2.86),
        Timing(64, 1.04, 3.99),
        Timing(256, 1.85, 6.33),
        Timing(1024, 7.13, 25.4),
        Timing(4096, 22.4, 81.1),
        Timing(16384, 107, 554),
    ),
}
