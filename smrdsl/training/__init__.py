"""training: a model and data in, a trained package out.

The rooms' only user of Lightning, which `settings`, `fitting` and `job` do without.
"""
