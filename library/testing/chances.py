"""Probabilities and true classes that say what a test is about."""

import numpy as np


def rows(*values):
    return np.array(values, dtype=np.float32)


def labels(*values):
    return np.array(values, dtype=np.int64)


def honest(n=20_000, *, seed=0):
    """Probabilities of five classes, and true classes drawn with them."""
    random = np.random.default_rng(seed)
    chances = random.dirichlet([0.3] * 5, size=n)
    truth = (random.random((n, 1)) > chances.cumsum(axis=1)[:, :-1]).sum(axis=1)
    return chances.astype(np.float32), truth.astype(np.int64)
