"""Temperature scaling."""

from math import exp, log

import numpy as np

from imageproof.base._dataset import Labels, Probabilities

TEMPERATURES = (0.05, 20.0)


def fit_temperature(probabilities: Probabilities, labels: Labels) -> float:
    """The T, 0.05…20, at which softmax(log(p) / T) has the lowest log loss; 1 if none is better.

    Guo et al. 2017, «On Calibration of Modern Neural Networks», section 4.2. A row whose true
    class has probability 0 is left out: no temperature makes it better. `labels` int64 (n,).
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    is_possible = probabilities[np.arange(len(labels)), labels] > 0
    answers = probabilities[is_possible]
    truth = labels[is_possible]
    if (answers.argmax(axis=1) == truth).all():
        return 1.0  # the loss would fall until all answers are certain
    with np.errstate(divide="ignore"):
        logits = np.log(answers, dtype=np.float64)
    truth_logits = logits[np.arange(len(truth)), truth]

    def loss(log_temperature: float) -> float:
        scale = exp(-log_temperature)
        losses = logsumexp(scale * logits, axis=1) - scale * truth_logits
        return float(np.mean(losses))

    best = minimize_scalar(
        loss,
        bounds=[*map(log, TEMPERATURES)],
        method="bounded",
        options={"xatol": 1e-6},
    )
    return exp(best.x) if best.fun < loss(0.0) else 1.0
