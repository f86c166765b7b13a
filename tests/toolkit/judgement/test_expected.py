"""The accuracy expected without labels, beside the true one of images that nobody has seen."""

import numpy as np
import pytest

from imageproof.judge.expected import Answered, KnownAnswers

CENTRES = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
SURE = np.float32(0.999)  # whatever it sees


def answered(
    noise: float, seed: int, *, shares: tuple[float, ...] = (0.3, 0.3, 0.4), rows: int = 2000
) -> tuple[Answered, np.ndarray]:
    """What a classifier by the nearest centre, always sure, makes of points of three classes."""
    random = np.random.default_rng(seed)
    labels = random.choice(3, rows, p=shares)
    features = (CENTRES[labels] + noise * random.standard_normal((rows, 2))).astype(np.float32)
    nearest = np.square(features[:, None] - CENTRES).sum(axis=2).argmin(axis=1)
    probabilities = np.where(np.eye(3, dtype=bool)[nearest], SURE, (1 - SURE) / 2)
    spread = np.abs(features - CENTRES[nearest]).astype(np.float32)
    return Answered(np.hstack([features, spread]), probabilities.astype(np.float32)), labels


def accuracy(answers: Answered, labels: np.ndarray) -> float:
    return float(np.mean(answers.probabilities.argmax(axis=1) == labels))


@pytest.fixture(scope="module")
def known() -> KnownAnswers:
    return KnownAnswers([answered(n, seed) for seed, n in enumerate(np.linspace(0.8, 5, 10))])


@pytest.mark.parametrize("noise", [0.8, 1.5, 2.5, 4])
@pytest.mark.parametrize("shares", [(0.3, 0.3, 0.4), (0.9, 0.1, 0)])
def test_expected_accuracy_is_near_the_true_one(
    known: KnownAnswers, noise: float, shares: tuple[float, ...]
) -> None:
    new, labels = answered(noise, 99, shares=shares)
    found, true = known.expect(new), accuracy(new, labels)
    assert found.value == pytest.approx(true, abs=0.06)  # where its confidence says 0.999
    assert 0 <= found.lower <= true <= found.upper + 0.01 <= 1.01


def test_interval_is_wider_the_more_is_lost(known: KnownAnswers) -> None:
    widths = [e.upper - e.lower for e in (known.expect(answered(n, 7)[0]) for n in (0.8, 2, 4))]
    assert 0 < widths[0] < widths[1] < widths[2]


def test_one_class_without_features_and_nothing_but_clean_images() -> None:
    only = Answered(np.zeros((9, 0), np.float32), np.full((9, 2), 0.5, np.float32))
    found = KnownAnswers([(only, np.zeros(9, np.int64))]).expect(only)
    assert found == (1, 1, 1)
