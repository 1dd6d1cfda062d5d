"""Timings of ema: what `python -m benchmarks.strategies ema` printed on two x86-64 cores with AVX-512."""

from smrdsl.ops.contract import Timing

TIMINGS = {
    "conv": (
        Timing(1, 0.223, 0.976),
        Timing(4, 0.269, 1.24),
        Timing(16, 0.368, 1.93),
        Timing(64, 0.751, 3.14),
        Timing(256, 2.84, 9.52),
        Timing(1024, 11.1, 33.5),
        Timing(4096, 53.8, 164),
        Timing(16384, 319, 920),
    ),
    "scan": (
        Timing(1, 0.53, 1.13),
        Timing(4, 0.771, 1.93),
        Timing(16, 1.7, 5.24),
        Timing(64, 3.56, 10.4),
        Timing(256, 5.54, 16.1),
        Timing(1024, 11.3, 43.6),
        Timing(4096, 41.4, 172),
        Timing(16384, 153, 716),
    ),
    "recurrent": (
        Timing(1, 0.209, 0.628),
        Timing(4, 0.323, 0.999),
        Timing(16, 0.741, 2.16),
        Timing(64, 2.13, 7.52),
        Timing(256, 7.59, 31.6),
        Timing(1024, 30.3, 129),
    ),
    "recurrent+native": (
        Timing(1, 0.207, 0.603),
        Timing(4, 0.269, 0.97),
        Timing(16, 0.328, 1.14),
        Timing(64, 0.495, 1.55),
        Timing(256, 0.816, 3.29),
        Timing(1024, 2.17, 10.1),
        Timing(4096, 7.15, 38.9),
        Timing(16384, 44.3, 299),
    ),
}
