"""What is said against models in words, where chance does not explain it.

The p-value of a doubt is the chance that a model which does not deserve it has such a figure, or a
worse one. All sentences together accuse wrongly with a chance of at most LEVEL, by Bonferroni's
correction: a p-value is multiplied by the number of sentences that could be said, and before by the
number of classes or disturbances of which the worst is named.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from imageproof.base._dataset import Labels, Probabilities
from imageproof.judge._groups import at_most
from imageproof.judge.disturbances import COUNTS, in_words
from imageproof.judge.scores import calibration_error, errors_by_chance

LEVEL = 0.01
LEARNT = 0.9  # accuracy on the training rows
WEAK = 0.5  # sensitivity
MISCALIBRATED = 0.02  # expected calibration error
GAP = 0.1  # of accuracies: on training and test rows, or without and with a disturbance


class Doubt(NamedTuple):
    """What may be said of a model: the sentence, the figures that follow it, and the p-value."""

    sentence: str
    figures: str
    p_value: float


def beyond_chance(doubts: Mapping[str, Sequence[Doubt]]) -> list[str]:
    """The sentences that hold beyond chance, each once with its models; `doubts` are by model."""
    # several doubts of a model may share a sentence; their p-values count them already
    sentences = {(model, doubt.sentence) for model in doubts for doubt in doubts[model]}
    figures: dict[str, dict[str, list[str]]] = {}  # by sentence and model
    for model in doubts:
        for doubt in doubts[model]:
            if doubt.p_value * len(sentences) <= LEVEL:
                models = figures.setdefault(doubt.sentence, {})
                models.setdefault(model, []).append(doubt.figures)
    return [
        f"{sentence}: " + "; ".join(f"{model} {', '.join(models[model])}" for model in models)
        for sentence, models in figures.items()
    ]


def unlearnt(accuracy: float, rows: int) -> Doubt:
    """That a model is right on less than LEARNT of its own training rows: binomial test."""
    sentence = "right on few of the training rows, so more epochs may help"
    return Doubt(sentence, f"on {100 * accuracy:.0f} %", at_most(accuracy, rows, LEARNT))


def memorized(
    trained: float,
    train_rows: int,
    accuracy: float,
    rows: float,
) -> Doubt:
    """That a model is right on over GAP more of its own training rows than of the test rows."""
    sentence = "right on far more training rows than test rows, so more images may help"
    figures = f"on {100 * trained:.0f} % against {100 * accuracy:.0f} %"
    return Doubt(sentence, figures, _chance_of_gap(trained, train_rows, accuracy, rows))


def weak_class(by_class: Mapping[str, Mapping[str, Any]], rows: Sequence[float]) -> Doubt:
    """That a model gets less than WEAK of a class right, for the class with the lowest p-value.

    The test is binomial; `rows` counts the independent rows of each class.
    """
    tests = [
        (at_most(share, count, WEAK), share, name)
        for count, (name, figures) in zip(rows, by_class.items(), strict=True)
        if (share := figures["sensitivity"]) is not None
    ]
    p_value, share, name = min(tests)
    figures = f"{100 * share:.1f} % of the test images of class {name}"
    return Doubt("less than half of a class is right", figures, p_value * len(tests))


def misleading(
    probabilities: Probabilities,
    reference: Labels,
    share: float,
) -> Doubt:
    """That the calibration error is over MISCALIBRATED; `share` of the rows is independent.

    The approximated distribution has too thin tails. The margin more than makes up for them, with
    the error of one row in it: among few sure rows, one is wrong more often than the tail says.
    """
    error = calibration_error(probabilities, reference)
    margin = MISCALIBRATED + 1 / max(share * len(reference), 1)
    p_value = float(errors_by_chance(probabilities, share, MISCALIBRATED).sf(error - margin))
    sentence = "probabilities mislead, as confidence and accuracy are apart on average"
    return Doubt(sentence, f"by {100 * error:.1f} points", p_value)


def fragile(accuracies: Mapping[str, float]) -> list[Doubt]:
    """That a disturbance costs over GAP, for each one; `accuracies` is of `accuracy_under`.

    The test takes the shares for independent. They are of the same images, so their difference
    varies less, and the test accuses less often than it could.
    """
    rows = accuracies["effective_images"]
    clean = accuracies["clean"]
    disturbed = {k: v for k, v in accuracies.items() if k not in ("clean", *COUNTS)}
    doubts = []
    for name, share in disturbed.items():
        p_value = _chance_of_gap(clean, rows, share, rows)
        figures = f"by {100 * (clean - share):.0f} points on images {in_words(name)}"
        doubts.append(Doubt("fragile, as accuracy falls", figures, p_value * len(disturbed)))
    return sorted(doubts, key=lambda doubt: doubt.p_value)


def _chance_of_gap(
    larger: float,
    larger_rows: float,
    smaller: float,
    smaller_rows: float,
) -> float:
    """The p-value of two independent shares, each of so many rows, that differ by over GAP.

    The test is that of Agresti and Caffo (2000, doi:10.1080/00031305.2000.10474560).
    """
    from scipy.stats import norm

    a = (larger * larger_rows + 1) / (larger_rows + 2)
    b = (smaller * smaller_rows + 1) / (smaller_rows + 2)
    variance = a * (1 - a) / (larger_rows + 2) + b * (1 - b) / (smaller_rows + 2)
    return float(norm.sf((a - b - GAP) / variance**0.5))
