"""Calibration: answer sets with a coverage, and temperature scaling."""

import numpy as np
import pytest
from chances import honest, labels, rows

from imageproof.base._temperature import TEMPERATURES, fit_temperature
from imageproof.judge.confidence import (
    answer_sets,
    coverage_p_value,
    measure,
    threshold,
    too_few_rows,
    unsure,
)
from imageproof.judge.gate import Contender, Evidence
from imageproof.registry._absolute_checks import coverage_test


def test_threshold_is_the_probability_at_the_conformal_rank():
    for n, coverage, rank in (
        (99, 0.5, 50),
        (9, 0.9, 1),
        (98, 0.99, 0),
    ):
        ascending = np.linspace(0.1, 0.9, n, dtype=np.float32)
        assert threshold(ascending, coverage) == [0, *ascending][rank]  # 0: every class is in a set
        assert bool(too_few_rows(n, coverage)) == (rank == 0)
    assert "needs 99 validation rows, there are 98" in too_few_rows(98, 0.99)


def test_coverage_has_the_exact_chance_of_draws():
    """Polya's urn: of 9 validation rows and one more, half or nine of ten lie above the limit."""
    for covered, count, coverage, chance in (
        (0, 500, 0.99, 1),  # too few validation rows: every set has all classes
        (0, 1, 0.9, 1 / 10),
        (0, 2, 0.5, 5 / 10 * 6 / 11),
        (1, 2, 0.5, 1 - 5 / 10 * 6 / 11),
    ):
        p_value = coverage_p_value(covered, count, validation_rows=9, coverage=coverage)
        assert p_value == pytest.approx(chance)


def test_validation_rows_in_groups_are_fewer():
    """Rows of 12 writers each; the coverage of each writer's answer sets is another one."""
    random = np.random.default_rng(0)
    writers = np.repeat(np.arange(12), 50)
    p_values = []
    for _ in range(300):
        by_writer = random.beta(2, 1, (2, 12))[:, writers]
        chances = (by_writer + random.normal(0, 0.2, (2, 600))).clip(0, 1).astype(np.float32)
        validation, holdout = chances
        evidence = Evidence(
            challenger=Contender("m", np.stack([holdout, 1 - holdout], axis=1)),
            champion=None,
            labels=np.zeros(600, int),
            names=["a", "b"],
            groups=writers,
            truth_probabilities=np.sort(validation),
            coverage=0.8,
        )
        p_values.append(coverage_test(evidence, 0.05).figures["coverage_p_value"])
    assert np.mean(np.array(p_values) < 0.05) <= 0.08


def test_answer_of_no_class_or_over_two_is_unsure():
    sets = answer_sets(rows([0.9, 0.1, 0], [0.5, 0.5, 0], [0.4, 0.3, 0.3], [0.2, 0.2, 0.2]), 0.3)
    assert unsure(sets).tolist() == [False, False, True, True]
    sets = answer_sets(rows([0.9, 0.1], [0.5, 0.5]), 0.3)
    assert unsure(sets).tolist() == [False, True]


def test_coverage_worked_out_by_hand():
    sets = np.array([[1, 0, 0]] * 7 + [[1, 1, 0], [1, 1, 1], [0, 0, 0]], dtype=bool)
    by_r = 0.5549839, 0.9974714  # binom.test(9, 10)
    assert [*measure(sets, labels(*[0] * 10)).values()] == pytest.approx([0.9, *by_r, 1.2, 0.2])


def test_temperature_undoes_wrong_confidence():
    chances, truth = honest()
    for temperature in (0.3, 4):
        powers = chances**temperature
        distorted = powers / powers.sum(axis=1, keepdims=True)
        assert fit_temperature(distorted, truth) == pytest.approx(temperature, rel=0.03)
    # neither rows that are surely wrong change it, nor classes without probability
    surely_wrong = np.eye(5, dtype=np.float32)[(truth + 1) % 5]
    answers = np.concatenate([chances, surely_wrong]), np.concatenate([truth, truth])
    assert fit_temperature(*answers) == fit_temperature(chances, truth)
    with_zeros = np.pad(chances, [(0, 0), (0, 2)])
    assert fit_temperature(with_zeros, truth) == pytest.approx(fit_temperature(chances, truth))


def test_temperature_without_an_optimum():
    assert fit_temperature(rows([0.9, 0.1], [0.2, 0.8]), labels(0, 1)) == 1  # all right
    never_right = fit_temperature(rows([0.9, 0.1]), labels(1))
    assert never_right == pytest.approx(TEMPERATURES[1])
