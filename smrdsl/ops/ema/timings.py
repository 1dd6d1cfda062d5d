"""Timings of ema: what `python -m benchmarks.strategies ema` printed on two x86-64 cores with AVX-512."""

from smrdsl.ops.contract import Timing

TIMINGS = {
    "conv": (
        Timing(1, 0.103, 0.989),
        Timing(4, 0.144, 1.46),
        Timing(16, 0.189, 2.01),
        Timing(64, 0.609, 4.79),
        Timing(256, 3.66, 11.8),
        Timing(1024, 12.1, 44.4),
        Timing(4096, 74.2, 179),
        Timing(16384, 318, 835),
    ),
    "scan": (
        Timing(1, 0.458, 1.8),
        Timing(4, 0.948, 2.76),
        Timing(16, 2.21, 7.3),
        Timing(64, 4.8, 13.8),
        Timing(256, 6.98, 19.5),
        Timing(1024, 14.5, 50.7),
        Timing(4096, 51.6, 221),
        Timing(16384, 201, 872),
    ),
    "recurrent": (
        Timing(1, 0.0911, 0.579),
        Timing(4, 0.176, 0.991),
        Timing(16, 0.492, 2.11),
        Timing(64, 1.83, 7.05),
        Timing(256, 7.06, 30.9),
        Timing(1024, 28.8, 124),
    ),
}
