"""Hyper-parameter search with Optuna: one trial in its own process, the search."""
