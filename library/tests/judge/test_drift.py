"""Drift is told only where a difference is both significant and large."""

import numpy as np
import pytest
from scipy.stats import binom

from imageproof.judge.drift import (
    DRAWS,
    Comparison,
    KnownFeatures,
    compare_accuracy,
    compare_counts,
    compare_values,
    judge,
)

RNG = np.random.default_rng(0)
LEAST, LEVEL = 0.1, 0.01
CLASSES, WIDTH = 5, 32
UNEVEN = [0.4, 0.3, *[0.05] * 4, *[0.025] * 4]  # shares of ten classes


def drifted(comparison):
    [drift] = judge([comparison], LEVEL)
    return drift.drifted


def clean_sample(random, rows, known):
    """Whether anything is called drift of a sample of the same kind as all that is known."""
    inks, contrasts, classes, distances = known
    comparisons = [
        compare_values("mean_ink", random.normal(size=rows), inks, LEAST),
        compare_values("contrast", random.integers(200, 256, rows), contrasts, LEAST),
        compare_counts("class_shares", random.multinomial(rows, UNEVEN), classes, LEAST),
        compare_counts("features", random.multinomial(rows, [0.5, 0.45, 0.05]), distances, 0.03),
    ]
    return any(drift.drifted for drift in judge(comparisons, 0.02))


def test_clean_samples_of_few_images_do_not_drift():
    random = np.random.default_rng(0)
    known = random.normal(size=6000), random.integers(200, 256, 6000)
    known += random.multinomial(6000, UNEVEN), random.multinomial(6000, [0.5, 0.45, 0.05])
    alarms = sum(clean_sample(random, rows, known) for rows in (25, 100) for _ in range(200))
    most = binom.ppf(0.975, 400, 0.02)  # 8 are promised; by chance, in 97.5 % of the tests, 14
    print(f"{alarms} of 400 clean samples called drift; at most {most:.0f}")
    assert alarms <= most


def test_many_classes_are_compared_in_little_memory():
    known = np.full(1000, 48)
    new = np.zeros(1000, int)
    new[:5] = 20
    assert compare_counts("classes", new, known, LEAST).p_value == 1 / (1 + DRAWS)


def test_a_shift_drifts_and_a_significant_trifle_does_not():
    comparison = compare_values("ink", RNG.normal(1, 1, 500), RNG.normal(size=5000), LEAST)
    assert comparison.effect > 0.3
    assert drifted(comparison)
    many = RNG.normal(0.05, size=90_000), RNG.normal(size=90_000)
    comparison = compare_values("ink", *many, LEAST)
    assert comparison.p_value < LEVEL
    assert not drifted(comparison)


def test_shifted_classes_drift_by_the_share_that_changed():
    new, known = np.array([700, 300, 0]), np.array([500, 500, 0])
    comparison = compare_counts("classes", new, known, LEAST)
    assert comparison.effect == pytest.approx(0.2)
    assert drifted(comparison)


def test_each_of_several_comparisons_must_be_that_much_more_significant():
    alone = Comparison("ink", 0.5, 0.004, LEAST)
    others = [Comparison(name, 0.5, 0.5, LEAST) for name in ("contrast", "classes")]
    assert drifted(alone)
    first, *_ = judge([alone, *others], LEVEL)
    assert first.p_value == pytest.approx(0.012)
    assert not first.drifted


def test_accuracy_drifts_if_the_loss_is_more_than_chance_on_both_sides():
    holdout = (5940, 6000)
    assert compare_accuracy(97, 100, holdout).p_value > LEVEL
    lost = compare_accuracy(900, 1000, holdout)
    assert lost.effect == pytest.approx(0.09)
    assert drifted(lost)
    gained = compare_accuracy(1000, 1000, holdout)
    assert (gained.effect, drifted(gained)) == (0, False)


def features(count, classes=CLASSES):
    """Features float32 (count, 32) of so many classes: a direction each, with noise."""
    centres = np.random.default_rng(1).normal(size=(10, WIDTH))
    chosen = centres[RNG.integers(classes, size=count)] * RNG.uniform(1, 9, (count, 1))
    return (chosen + RNG.normal(0, 0.3, (count, WIDTH))).astype(np.float32)


def feature_drifts(known, new):
    return drifted(known.compare(known.distances(new), 0.03))


def test_features_of_the_same_kind_do_not_drift_in_50_draws():
    known = KnownFeatures(features(3000))
    assert sum(feature_drifts(known, features(500)) for _ in range(50)) <= 2


def test_a_tenth_of_foreign_features_drifts():
    known = KnownFeatures(features(3000))
    foreign = features(5000, classes=10)
    foreign = foreign[known.distances(foreign) > known.cuts[-1]][:50]
    assert feature_drifts(known, np.concatenate([features(450), foreign]))


def test_what_is_known_is_not_far_and_its_length_does_not_count():
    rows = features(1200)
    known = KnownFeatures(rows)
    assert known.distances(7 * rows).max() < 1e-5
    assert known.known.min() > 1e-5  # its nearest other one
    assert known.distances(-rows[:3]).min() > known.cuts[-1]
