"""Timings of lru: what `python -m benchmarks.strategies lru` printed on two x86-64 cores with AVX-512."""

from smrdsl.ops.contract import Timing

TIMINGS = {
    "scan": (
        Timing(1, 0.193, 1.54),
        Timing(4, 0.292, 1.68),
        Timing(16, 0.389, 2.59),
        Timing(64, 1.27, 6.12),
        Timing(256, 2.56, 12.9),
        Timing(1024, 10.8, 37.2),
        Timing(4096, 35.8, 140),
        Timing(16384, 156, 695),
    ),
    "conv": (
        Timing(1, 0.347, 2.17),
        Timing(4, 0.502, 2.39),
        Timing(16, 0.782, 3.41),
        Timing(64, 1.25, 5.1),
        Timing(256, 3.47, 13.6),
        Timing(1024, 17.6, 64.3),
        Timing(4096, 95.4, 293),
        Timing(16384, 577, 1.85e03),
    ),
    "recurrent": (
        Timing(1, 0.157, 1.56),
        Timing(4, 0.201, 1.76),
        Timing(16, 0.432, 2.75),
        Timing(64, 1.18, 6.53),
        Timing(256, 4.09, 21.1),
        Timing(1024, 16.3, 81.2),
    ),
}
