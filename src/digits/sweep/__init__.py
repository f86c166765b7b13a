"""Hyper-parameter search with Optuna.

- `space`: which keys of `train.<model>` vary
- `trial`: one training in a process of its own, for the study that all share
- `search`: many trials, then the best settings against the defaults
"""
