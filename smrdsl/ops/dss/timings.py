"""Timings of dss: what `python -m benchmarks.strategies dss` printed on two x86-64 cores with AVX-512."""

from smrdsl.ops.contract import Timing

TIMINGS = {
    "conv": (
        Timing(1, 0.563, 4.16),
        Timing(4, 0.584, 6.5),
        Timing(16, 0.718, 11.4),
        Timing(64, 1.17, 19.7),
        Timing(256, 3.54, 44.7),
        Timing(1024, 15, 109),
        Timing(4096, 63.9, 266),
        Timing(16384, 288, 960),
    ),
    "scan": (
        Timing(1, 3.6, 8.86),
        Timing(4, 5.08, 17.1),
        Timing(16, 8.99, 50.4),
        Timing(64, 20.8, 120),
        Timing(256, 25.9, 144),
        Timing(1024, 46.5, 198),
        Timing(4096, 102, 422),
        Timing(16384, 266, 1.11e03),
    ),
    "recurrent": (
        Timing(1, 0.633, 3.75),
        Timing(4, 1.54, 8.58),
        Timing(16, 4.3, 24.2),
        Timing(64, 12.5, 99.5),
        Timing(256, 42.7, 479),
        Timing(1024, 173, 1.41e03),
    ),
    "recurrent+native": (
        Timing(1, 1.12, 6.07),
        Timing(4, 1.28, 6.67),
        Timing(16, 1.14, 7),
        Timing(64, 1.54, 8.76),
        Timing(256, 2.89, 16.5),
        Timing(1024, 9.13, 47.7),
        Timing(4096, 31.4, 174),
        Timing(16384, 102, 699),
    ),
}
