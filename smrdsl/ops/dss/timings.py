"""Timings of dss: what `python -m benchmarks.strategies dss` printed on two x86-64 cores with AVX-512."""

from smrdsl.ops.contract import Timing

TIMINGS = {
    "conv": (
        Timing(1, 0.117, 6.59),
        Timing(4, 0.146, 8.67),
        Timing(16, 0.228, 7.8),
        Timing(64, 0.527, 14.7),
        Timing(256, 1.99, 40.1),
        Timing(1024, 15.7, 81.2),
        Timing(4096, 63.4, 252),
        Timing(16384, 423, 1050),
    ),
    "scan": (
        Timing(1, 3.31, 8.67),
        Timing(4, 4.74, 15.2),
        Timing(16, 9.08, 32.9),
        Timing(64, 15.2, 74.4),
        Timing(256, 20.3, 93.9),
        Timing(1024, 34.4, 139),
        Timing(4096, 83.6, 363),
        Timing(16384, 296, 1190),
    ),
    "recurrent": (
        Timing(1, 0.36, 3.43),
        Timing(4, 0.814, 6.14),
        Timing(16, 3.14, 24.1),
        Timing(64, 10.7, 84.3),
        Timing(256, 42, 342),
        Timing(1024, 167, 1420),
    ),
}
