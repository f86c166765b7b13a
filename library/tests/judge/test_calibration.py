"""Calibration: answer sets with a coverage, and temperature scaling."""

import numpy as np
import pytest
from chances import honest, labels, rows
from numpy.typing import NDArray

from imageproof.base.dataset import Probabilities
from imageproof.judge.confidence import (
    answer_sets,
    coverage_p_value,
    measure,
    threshold,
    too_few_rows,
    unsure,
)
from imageproof.keras.temperature import TEMPERATURES, fit_temperature, truth_probabilities


@pytest.mark.parametrize(
    ("n", "coverage", "rank"),
    [(99, 0.99, 1), (199, 0.99, 2), (198, 0.99, 1), (9, 0.9, 1), (99, 0.5, 50)],
)
def test_the_threshold_is_the_probability_at_the_conformal_rank(n, coverage, rank):
    ascending = np.linspace(0.1, 0.9, n, dtype=np.float32)
    assert threshold(ascending, coverage) == ascending[rank - 1]


def test_honest_coverage_is_refused_as_rarely_as_asked():
    """Over many draws, the mean coverage is the rank's share of n + 1 rows (here 0.9 exactly)."""
    covered, p_values = [], []
    for seed in range(200):
        chances, truth = honest(199 + 500, seed=seed)
        limit = threshold(truth_probabilities(chances[:199], truth[:199]), 0.9)
        found = measure(answer_sets(chances[199:], limit), truth[199:]).coverage
        held = round(500 * found)
        covered.append(found)
        p_values.append(coverage_p_value(held, 500, validation_rows=199, coverage=0.9))
    error = np.std(covered) / np.sqrt(len(covered))
    assert np.mean(covered) == pytest.approx(0.9, abs=4 * error)
    assert error < 0.003
    assert np.mean(np.array(p_values) < 0.05) <= 0.09
    assert coverage_p_value(350, 500, validation_rows=199, coverage=0.9) < 1e-6
    assert coverage_p_value(0, 500, validation_rows=9, coverage=0.99) == 1


def test_a_class_exactly_at_the_threshold_is_in_the_set():
    probabilities = rows([0.7, 0.3], [0.1, 0.9])
    limit = threshold(truth_probabilities(probabilities, labels(0, 1)), 0.4)
    assert answer_sets(probabilities, limit).tolist() == [[True, False], [False, True]]


def test_a_set_of_no_class_or_of_more_than_two_is_no_answer():
    sets = answer_sets(rows([0.9, 0.1, 0], [0.5, 0.5, 0], [0.4, 0.3, 0.3], [0.2, 0.2, 0.2]), 0.3)
    assert unsure(sets).tolist() == [False, False, True, True]
    sets = answer_sets(rows([0.9, 0.1], [0.5, 0.5]), 0.3)
    assert unsure(sets).tolist() == [False, True]


@pytest.mark.parametrize(("rows", "coverage"), [(99, 0.99), (9, 0.9), (19, 0.95), (1, 0.5)])
def test_too_few_rows_are_told_from_enough(rows, coverage):
    ascending = np.full(rows, 0.9, np.float32)
    assert threshold(ascending, coverage) > 0
    assert too_few_rows(rows, coverage) == ""
    assert threshold(ascending[1:], coverage) == 0  # every class is in the set
    assert f"needs {rows} validation rows, there are {rows - 1}" in too_few_rows(rows - 1, coverage)


def test_what_sets_are_worth_worked_out_by_hand():
    sets = np.array([[1, 0, 0]] * 7 + [[1, 1, 0], [1, 1, 1], [0, 0, 0]], dtype=bool)
    found = measure(sets, labels(*[0] * 10))
    assert found == pytest.approx((0.9, 0.5549839, 0.9974714, 1.2, 0.2, 0.1))  # R's binom.test


def scaled(probabilities: Probabilities, temperature: float) -> NDArray[np.float64]:
    """softmax(log(p) / T), by its other form."""
    powers = probabilities.astype(np.float64) ** (1 / temperature)
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("distortion", [0.3, 0.5, 1, 2, 4])
def test_the_temperature_undoes_a_confidence_that_is_too_high_or_too_low(distortion):
    chances, truth = honest()
    distorted = scaled(chances, 1 / distortion).astype(np.float32)
    assert fit_temperature(distorted, truth) == pytest.approx(distortion, rel=0.03)


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
        (rows([0.9, 0.1], [0.2, 0.8]), labels(0, 1)),  # all right
        (rows([1, 0], [0, 1]), labels(1, 0)),  # sure and wrong
        (rows([0.9, 0.1], [0, 1]), labels(0, 0)),
        (np.empty((0, 3), np.float32), labels()),
    ],
)
def test_temperature_stays_1(probabilities, truth):
    assert fit_temperature(probabilities, truth) == 1


def test_a_model_that_is_never_right_loses_its_confidence_up_to_a_bound():
    assert fit_temperature(rows([0.9, 0.1]), labels(1)) == pytest.approx(TEMPERATURES[1])
