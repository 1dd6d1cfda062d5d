"""Timings of s6: what `python -m benchmarks.strategies s6` printed on an x86-64 core with AVX-512."""

from smrdsl.ops.contract import Timing

TIMINGS = {
    "scan": (
        Timing(1, 0.491, 1.25),
        Timing(4, 0.536, 1.54),
        Timing(16, 1.41, 3.92),
        Timing(64, 4.5, 12.7),
        Timing(256, 12.5, 39.3),
        Timing(1024, 35.2, 126),
        Timing(4096, 130, 583),
        Timing(16384, 807, 2.64e03),
    ),
    "recurrent": (
        Timing(1, 0.333, 0.777),
        Timing(4, 0.459, 1.59),
        Timing(16, 1.08, 5.07),
        Timing(64, 4.79, 24.4),
        Timing(256, 18.7, 77.7),
        Timing(1024, 51, 309),
    ),
    "recurrent+native": (
        Timing(1, 0.348, 0.872),
        Timing(4, 0.339, 0.98),
        Timing(16, 0.499, 1.26),
        Timing(64, 1.07, 3.27),
        Timing(256, 2.62, 8.51),
        Timing(1024, 7.19, 27.6),
        Timing(4096, 37.7, 128),
        Timing(16384, 155, 634),
    ),
}
