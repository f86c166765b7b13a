"""Temperature scaling: probabilities that are as high as the answers are often right.

It is fitted on rows that neither train nor test the model. A module of its own, because training
depends on it: a change in what is judged with the probabilities must not train again.
"""

from math import exp, log

import numpy as np
from numpy.typing import NDArray

from digits.core.dataset import Labels, Probabilities

TEMPERATURES = (0.05, 20.0)


def fit_temperature(probabilities: Probabilities, labels: Labels) -> float:
    """The temperature T, 0.05…20, at which softmax(log(p) / T) has the lowest log loss.

    Above 1 it lowers a model's confidence, below 1 it raises it; the order of the classes stays
    (Guo et al. 2017, «On Calibration of Modern Neural Networks», section 4.2). log(0) is −∞ at
    any temperature, so a class with probability 0 keeps it, and a row whose true class has it is
    left out: no temperature makes it better. T is 1 if no other one is better, and where no other
    row is wrong: the loss would fall until all answers are certain.
    `probabilities` float32 (n, classes), `labels` int64 (n,).
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    possible = probabilities[np.arange(len(labels)), labels] > 0
    answers, truth = probabilities[possible], labels[possible]
    if (answers.argmax(axis=1) == truth).all():
        return 1.0
    with np.errstate(divide="ignore"):
        logits = np.log(answers, dtype=np.float64)
    of_truth = logits[np.arange(len(truth)), truth]

    def loss(log_temperature: float) -> float:
        scale = exp(-log_temperature)
        return float(np.mean(logsumexp(scale * logits, axis=1) - scale * of_truth))

    bounds = [log(temperature) for temperature in TEMPERATURES]
    best = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return exp(best.x) if best.fun < loss(0.0) else 1.0


def truth_probabilities(probabilities: Probabilities, labels: Labels) -> NDArray[np.float32]:
    """The probability that each row's true class got, float32 (n,), ascending."""
    return np.sort(probabilities[np.arange(len(labels)), labels])
