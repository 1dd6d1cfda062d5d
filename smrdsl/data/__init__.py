"""data: what models are trained and probed on, by name."""
