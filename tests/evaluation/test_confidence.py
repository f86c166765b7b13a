"""Temperature scaling, and answer sets with a coverage."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import log_loss

from digits.core.dataset import Labels, Probabilities
from digits.evaluation.confidence import (
    TEMPERATURES,
    answer_sets,
    fit_temperature,
    measure,
    threshold,
    truth_probabilities,
    unsure,
)


def rows(*each: list[float]) -> Probabilities:
    return np.array(each, dtype=np.float32)


def labels(*values: int) -> Labels:
    return np.array(values, dtype=np.int64)


def honest(n: int = 20_000, *, seed: int = 0) -> tuple[Probabilities, Labels]:
    """Probabilities of five classes, and true classes drawn with them."""
    random = np.random.default_rng(seed)
    chances = random.dirichlet([0.3] * 5, size=n)
    truth = (random.random((n, 1)) > chances.cumsum(axis=1)[:, :-1]).sum(axis=1)
    return chances.astype(np.float32), truth.astype(np.int64)


def scaled(probabilities: Probabilities, temperature: float) -> NDArray[np.float64]:
    """softmax(log(p) / T), by its other form."""
    powers = probabilities.astype(np.float64) ** (1 / temperature)
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("distortion", [0.3, 0.5, 1, 2, 4])
def test_the_temperature_undoes_a_confidence_that_is_too_high_or_too_low(distortion):
    chances, truth = honest()
    distorted = scaled(chances, 1 / distortion).astype(np.float32)
    assert fit_temperature(distorted, truth) == pytest.approx(distortion, rel=0.03)


def test_no_other_temperature_has_a_lower_log_loss():
    chances, truth = honest(500)
    best = fit_temperature(chances**2 / (chances**2).sum(axis=1, keepdims=True), truth)
    squared = scaled(chances, 0.5)
    loss = log_loss(truth, scaled(squared, best))
    assert all(loss < log_loss(truth, scaled(squared, best * f)) for f in (0.5, 0.98, 1.02, 2))


def test_a_class_without_any_probability_changes_no_temperature():
    chances, truth = honest(500)
    surely_wrong = np.eye(5, dtype=np.float32)[(truth + 1) % 5]
    both = np.concatenate([chances, surely_wrong]), np.concatenate([truth, truth])
    assert fit_temperature(*both) == fit_temperature(chances, truth)
    with_zeros = np.concatenate([chances, np.zeros((500, 2), np.float32)], axis=1)
    assert fit_temperature(with_zeros, truth) == pytest.approx(fit_temperature(chances, truth))


@pytest.mark.parametrize(
    ("probabilities", "truth"),
    [
        (rows([0.9, 0.1], [0.2, 0.8]), labels(0, 1)),
        (rows([1, 0], [0, 1]), labels(0, 1)),
        (rows([1, 0], [0, 1]), labels(1, 0)),
        (rows([0.5, 0.5], [0.5, 0.5]), labels(0, 1)),
        (np.empty((0, 3), np.float32), labels()),
    ],
    ids=["all right", "sure and right", "sure and wrong", "no preference", "no rows"],
)
def test_rows_that_say_nothing_about_the_temperature_leave_it_at_1(probabilities, truth):
    assert fit_temperature(probabilities, truth) == 1


def test_a_model_that_is_never_right_loses_its_confidence_up_to_a_bound():
    assert fit_temperature(rows([0.9, 0.1]), labels(1)) == pytest.approx(TEMPERATURES[1])


def test_the_smallest_numbers_of_single_precision_count():
    almost_sure = np.tile(rows([1, 1e-45]), (301, 1))
    temperature = fit_temperature(almost_sure, labels(1, *[0] * 300))
    assert scaled(almost_sure[:1], temperature)[0, 1] == pytest.approx(1 / 301, rel=1e-3)


def test_probabilities_of_the_truth_are_ascending():
    found = truth_probabilities(rows([0.7, 0.3], [0.8, 0.2], [0.5, 0.5]), labels(0, 1, 1))
    assert found.dtype == np.float32
    assert found == pytest.approx([0.2, 0.5, 0.7])


@pytest.mark.parametrize(
    ("n", "coverage", "rank"),
    [
        (99, 0.99, 1),
        (199, 0.99, 2),
        (198, 0.99, 1),
        (9, 0.9, 1),
        (10_000, 0.99, 100),
        (99, 0.5, 50),
    ],
)
def test_the_threshold_is_the_probability_at_the_conformal_rank(n, coverage, rank):
    ascending = np.linspace(0.1, 0.9, n, dtype=np.float32)
    assert threshold(ascending, coverage) == ascending[rank - 1]


def test_too_few_rows_put_every_class_into_the_set():
    limit = threshold(np.full(98, 0.9, np.float32), 0.99)
    assert answer_sets(rows([1, 0, 0]), limit).all()


def test_sets_of_new_rows_hold_the_truth_as_often_as_asked():
    """Over many draws, the mean coverage is the rank's share of n + 1 rows (here 0.9 exactly)."""
    covered = []
    for seed in range(200):
        chances, truth = honest(199 + 500, seed=seed)
        limit = threshold(truth_probabilities(chances[:199], truth[:199]), 0.9)
        covered.append(measure(answer_sets(chances[199:], limit), truth[199:]).coverage)
    error = np.std(covered) / np.sqrt(len(covered))
    assert np.mean(covered) == pytest.approx(0.9, abs=4 * error)
    assert error < 0.003


def test_a_class_exactly_at_the_threshold_is_in_the_set():
    probabilities = rows([0.7, 0.3], [0.1, 0.9])
    limit = threshold(truth_probabilities(probabilities, labels(0, 1)), 0.4)
    assert answer_sets(probabilities, limit).tolist() == [[True, False], [False, True]]


def test_a_set_of_no_class_or_of_more_than_two_is_no_answer():
    sets = answer_sets(rows([0.9, 0.1, 0], [0.5, 0.5, 0], [0.4, 0.3, 0.3], [0.2, 0.2, 0.2]), 0.3)
    assert unsure(sets).tolist() == [False, False, True, True]


def test_what_sets_are_worth_worked_out_by_hand():
    sets = np.array([[1, 0, 0]] * 7 + [[1, 1, 0], [1, 1, 1], [0, 0, 0]], dtype=bool)
    found = measure(sets, labels(*[0] * 10))
    assert found == pytest.approx((0.9, 0.5549839, 0.9974714, 1.2, 0.2, 0.1))  # R's binom.test
