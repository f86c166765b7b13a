"""Drift is told only where a difference is both significant and large."""

import numpy as np
import pytest
from scipy.stats import binom

from imageproof.judge.drift import (
    KnownFeatures,
    compare_accuracy,
    compare_counts,
    compare_values,
    judge,
)

MIN_EFFECT, LEVEL = 0.1, 0.01
CLASSES, WIDTH = 5, 32
UNEVEN = [0.4, 0.3, *[0.05] * 4, *[0.025] * 4]  # shares of ten classes
NEAR = [0.5, 0.45, 0.05]


@pytest.fixture
def random():
    return np.random.default_rng(0)


def drifted(*comparisons, level=LEVEL):
    return any(drift.drifted for drift in judge(comparisons, level))


def test_clean_samples_of_few_images_do_not_drift(random):
    inks, contrasts = random.normal(size=6000), random.integers(200, 256, 6000)
    classes, distances = random.multinomial(6000, UNEVEN), random.multinomial(6000, NEAR)
    alarms = 0
    for rows in [25, 100] * 200:
        new = random.normal(size=rows), random.integers(200, 256, rows)
        counts = random.multinomial(rows, UNEVEN), random.multinomial(rows, NEAR)
        alarms += drifted(
            compare_values("mean_ink", new[0], inks, MIN_EFFECT),
            compare_values("contrast", new[1], contrasts, MIN_EFFECT),
            compare_counts("class_shares", counts[0], classes, MIN_EFFECT),
            compare_counts("features", counts[1], distances, 0.03),
            level=0.02,
        )
    # 8 are promised; by chance, in 97.5 % of the tests, 14
    assert alarms <= binom.ppf(0.975, 400, 0.02)


def test_shift_drifts_and_a_significant_trifle_does_not(random):
    shifted = compare_values("ink", random.normal(1, 1, 500), random.normal(size=5000), MIN_EFFECT)
    assert drifted(shifted)
    many = random.normal(0.05, size=90_000), random.normal(size=90_000)
    trifle = compare_values("ink", *many, MIN_EFFECT)
    assert trifle.p_value < LEVEL
    assert not drifted(trifle)


def test_shifted_classes_drift_by_the_share_that_changed():
    new, reference = np.array([700, 300, 0]), np.array([500, 500, 0])
    comparison = compare_counts("classes", new, reference, MIN_EFFECT)
    assert comparison.effect == pytest.approx(0.2)
    assert drifted(comparison)
    # several comparisons must be more significant
    first, *_ = judge([comparison._replace(p_value=0.004)] * 3, LEVEL)
    assert (first.p_value, first.drifted) == (pytest.approx(0.012), False)


def test_accuracy_drifts_if_the_loss_is_more_than_chance():
    holdout = (5940, 6000)
    assert compare_accuracy(97, 100, holdout).p_value > LEVEL
    lost = compare_accuracy(900, 1000, holdout)
    assert lost.effect == pytest.approx(0.09)
    assert drifted(lost)
    assert compare_accuracy(1000, 1000, holdout).effect == 0


def features(random, count, classes=CLASSES):
    """Features float32 (count, 32) of so many classes: a direction each, with noise."""
    centres = np.random.default_rng(1).normal(size=(10, WIDTH))
    chosen = centres[random.integers(classes, size=count)] * random.uniform(1, 9, (count, 1))
    return (chosen + random.normal(0, 0.3, (count, WIDTH))).astype(np.float32)


def test_features_drift_if_a_tenth_is_foreign(random):
    reference = KnownFeatures(features(random, 1500))

    def has_drifted(new):
        return drifted(reference.compare(reference.distances(new), 0.03))

    assert sum(has_drifted(features(random, 500)) for _ in range(20)) <= 1
    foreign = features(random, 1000, classes=10)
    foreign = foreign[reference.distances(foreign) > reference.cuts[-1]][:50]
    assert has_drifted(np.concatenate([features(random, 450), foreign]))


def test_new_writers_like_the_known_ones_do_not_drift(random):
    """Images of one writer are near each other."""
    writers = np.repeat(np.arange(30), 20)

    def written():
        styles = random.normal(0, 0.4, (30, WIDTH))
        return (features(random, len(writers)) + styles[writers]).astype(np.float32)

    alarms = 0
    for _ in range(20):
        reference = KnownFeatures(written(), writers)
        alarms += drifted(reference.compare(reference.distances(written()), 0.03))
    assert alarms <= 2


def test_known_features_are_not_far_whatever_their_length(random):
    rows = features(random, 1200)
    reference = KnownFeatures(rows)
    assert reference.distances(7 * rows).max() < 1e-5
    assert reference.known.min() > 1e-5  # its nearest other one
    assert reference.distances(-rows[:3]).min() > reference.cuts[-1]
