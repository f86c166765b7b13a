"""Drift is told only where a difference is both significant and large."""

import numpy as np
import pytest

from digits.evaluation.drift import DriftParams, class_drift, value_drift

RNG = np.random.default_rng(0)
DRIFT = DriftParams(level=0.01, min_effect=0.1)


def test_the_same_values_do_not_drift():
    values = RNG.normal(size=5000)
    drift = value_drift("ink", values, values, DRIFT)
    assert (drift.effect, drift.drifted) == (0, False)


def test_a_shift_drifts():
    drift = value_drift("ink", RNG.normal(1, size=500), RNG.normal(size=5000), DRIFT)
    assert drift.drifted
    assert drift.effect > 0.3


def test_a_significant_trifle_does_not():
    drift = value_drift("ink", RNG.normal(0.05, size=90_000), RNG.normal(size=90_000), DRIFT)
    assert drift.p_value < DRIFT.level
    assert not drift.drifted


def test_a_difference_that_could_be_chance_does_not():
    assert not class_drift("classes", np.array([3, 1]), np.array([500, 500]), DRIFT).drifted


def test_shifted_classes_drift_by_the_share_that_changed():
    drift = class_drift("classes", np.array([700, 300, 0]), np.array([500, 500, 0]), DRIFT)
    assert drift.effect == pytest.approx(0.2)
    assert drift.drifted
