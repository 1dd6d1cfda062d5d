"""Timings of s4: what `python -m benchmarks.strategies s4` printed on two x86-64 cores with AVX-512."""

from smrdsl.ops.contract import Timing

TIMINGS = {
    "conv": (
        Timing(1, 0.329, 3.56),
        Timing(4, 0.423, 7.08),
        Timing(16, 0.499, 19.3),
        Timing(64, 0.81, 29.4),
        Timing(256, 3.11, 102),
        Timing(1024, 12.2, 158),
        Timing(4096, 55.2, 341),
        Timing(16384, 288, 1.13e03),
    ),
    "scan": (
        Timing(1, 2.19, 5.35),
        Timing(4, 5, 13.9),
        Timing(16, 14.7, 40.3),
        Timing(64, 29.6, 88.2),
        Timing(256, 37.3, 147),
        Timing(1024, 51.6, 199),
        Timing(4096, 105, 433),
        Timing(16384, 278, 1.1e03),
    ),
    "recurrent": (
        Timing(1, 1.08, 6.95),
        Timing(4, 2.11, 11.5),
        Timing(16, 7.23, 29.3),
        Timing(64, 28.7, 109),
        Timing(256, 100, 408),
        Timing(1024, 432, 1.87e03),
    ),
    "recurrent+native": (
        Timing(1, 0.715, 4.25),
        Timing(4, 0.624, 5.19),
        Timing(16, 0.827, 5.9),
        Timing(64, 1.27, 7.74),
        Timing(256, 2.98, 16.6),
        Timing(1024, 8.25, 46),
        Timing(4096, 30.5, 159),
        Timing(16384, 120, 712),
    ),
}
