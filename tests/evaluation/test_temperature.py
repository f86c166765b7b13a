"""Temperature scaling."""

import numpy as np
import pytest
from chances import honest, labels, rows
from numpy.typing import NDArray
from sklearn.metrics import log_loss

from digits.core.dataset import Probabilities
from digits.evaluation.temperature import TEMPERATURES, fit_temperature


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
