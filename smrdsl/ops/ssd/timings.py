"""Timings of ssd and ssd_scan, of one x86-64 core with AVX-512.

What `python -m benchmarks.strategies ssd ssd_scan` printed.
"""

from smrdsl.ops.contract import Timing

SSD = {
    "scan": (
        Timing(1, 0.785, 1.8),
        Timing(4, 0.709, 1.87),
        Timing(16, 1.39, 2.93),
        Timing(64, 4.4, 5.25),
        Timing(256, 8.81, 30.5),
        Timing(1024, 35.7, 123),
        Timing(4096, 138, 592),
        Timing(16384, 549, 2620),
    ),
    "recurrent": (
        Timing(1, 0.762, 1.58),
        Timing(4, 1.01, 4.71),
        Timing(16, 3.07, 16.4),
        Timing(64, 10.2, 59.6),
        Timing(256, 41.1, 228),
        Timing(1024, 151, 922),
    ),
}

SSD_SCAN = {
    "scan": (
        Timing(1, 0.758, 1.27),
        Timing(4, 0.618, 1.55),
        Timing(16, 1.02, 1.66),
        Timing(64, 1.49, 2.81),
        Timing(256, 5.46, 18),
        Timing(1024, 22.8, 73.7),
        Timing(4096, 92.8, 299),
        Timing(16384, 366, 1380),
    ),
    "recurrent": (
        Timing(1, 0.378, 1.03),
        Timing(4, 0.786, 2.78),
        Timing(16, 2.4, 11.3),
        Timing(64, 9.85, 44.1),
        Timing(256, 36, 174),
        Timing(1024, 132, 668),
    ),
}
