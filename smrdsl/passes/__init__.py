"""passes: rewrites of the graph, one file each, found by looking into this folder.

`order.py` says in which order they run; the graph is checked after each.
"""
