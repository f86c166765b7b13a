"""Hyper-parameter search with Optuna: the space, one trial in its own process, the search."""
