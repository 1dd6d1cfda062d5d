"""Checkpoints: what the weights of others are called, and which spec they belong to. Needs no torch."""
