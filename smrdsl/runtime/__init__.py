"""runtime: what users hold: the compiled module, and the package on disk."""
