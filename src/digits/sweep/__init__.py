"""Hyper-parameter search: a space, what Optuna proposes of it, and trials that run anywhere."""
