"""Hyper-parameter search.

- `space`: which keys of `train.<model>` vary, as Optuna's distributions
- `study`: create or resume the Optuna study
- `trial`: one training in a process of its own; its splits are fetched by hash
- `sweep`: propose, watch, prune and report trials; compare the best settings with the defaults
"""
