"""core: what every room speaks of: places in a text, diagnostics, types of streams. Imports nothing of ours."""
