"""What is said against models in words, where chance does not explain it.

Each doubt has the probability of a figure like this, or a worse one, if a model does not deserve
it. All sentences together accuse wrongly with a chance of at most LEVEL: by Bonferroni's correction
a p-value counts times the sentences that could be said, and within one times its classes or
disturbances.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from scipy.stats import norm

from imageproof.base.dataset import Labels, Probabilities
from imageproof.judge import behaviour, calibration
from imageproof.judge.groups import at_most

LEVEL = 0.01
LEARNT = 0.9  # accuracy on the training rows
SURPLUS = 0.1  # of what the most frequent class leaves
WEAK = 0.5  # sensitivity
MISCALIBRATED = 0.02  # expected calibration error
FRAGILE = 0.1  # accuracy lost


class Doubt(NamedTuple):
    """The sentence that it belongs to, its figures, and its p-value."""

    sentence: str
    figures: str
    p_value: float


def beyond_chance(doubts: Mapping[str, Sequence[Doubt]]) -> list[str]:
    """The sentences on models that hold beyond chance, each once, of all doubts by model."""
    count = sum(len({doubt.sentence for doubt in each}) for each in doubts.values())
    lines: dict[str, list[str]] = {}
    for model, each in doubts.items():
        proven = [doubt for doubt in each if doubt.p_value * count <= LEVEL]
        for sentence in dict.fromkeys(doubt.sentence for doubt in proven):
            figures = ", ".join(doubt.figures for doubt in proven if doubt.sentence == sentence)
            lines.setdefault(sentence, []).append(f"{model} {figures}")
    return [f"{sentence}: {'; '.join(models)}" for sentence, models in lines.items()]


def unlearnt(accuracy: float, rows: int) -> Doubt:
    """That the last epoch is right on less than LEARNT of so many training rows: binomial test."""
    sentence = "right on few of the training rows, so more epochs may help"
    return Doubt(sentence, f"on {100 * accuracy:.0f} %", at_most(accuracy, rows, LEARNT))


def guessing(overall: Mapping[str, Any], rows: float) -> Doubt:
    """That a model adds less than SURPLUS to the no-information rate: binomial test."""
    accuracy, most_frequent = overall["accuracy"], overall["no_information_rate"]
    found = f"is right on {100 * accuracy:.1f} % of the test images"
    found = f"{found}, of which that class has {100 * most_frequent:.1f} %"
    chance = most_frequent + SURPLUS * (1 - most_frequent)
    sentence = "hardly better than always naming the most frequent class"
    return Doubt(sentence, found, at_most(accuracy, rows, chance))


def weak_class(by_class: Mapping[str, Mapping[str, Any]], rows: float) -> Doubt:
    """That a model gets less than WEAK of a class right: binomial test; the surest such class."""
    tests = [
        (at_most(of["sensitivity"], of["prevalence"] * rows, WEAK), of["sensitivity"], name)
        for name, of in by_class.items()
        if of["sensitivity"] is not None
    ]
    p_value, share, name = min(tests)
    figures = f"{100 * share:.1f} % of the test images of class {name}"
    return Doubt("less than half of a class is right", figures, p_value * len(tests))


def misleading(probabilities: Probabilities, reference: Labels, share: float, remark: str) -> Doubt:
    """That the calibration error is over MISCALIBRATED; `share` of the rows is independent.

    The normal approximation has thin tails, for which this margin more than makes up.
    """
    error = calibration.calibration_error(probabilities, reference)
    p_value = calibration.chance_of_error(probabilities, error - MISCALIBRATED, share)
    sentence = "probabilities mislead, as confidence and accuracy are apart on average"
    return Doubt(sentence, f"by {100 * error:.1f} points{remark}", p_value)


def fragile(accuracies: Mapping[str, float]) -> list[Doubt]:
    """That a disturbance costs over FRAGILE, from what `behaviour.accuracies` takes.

    The test is that of Agresti and Caffo (2000, doi:10.1080/00031305.2000.10474560) for two
    independent shares. These are of the same images, so that their difference varies less.
    """
    rows = accuracies.get("effective_images", accuracies["images"]) + 2
    shares = {
        name: (value * (rows - 2) + 1) / rows
        for name, value in accuracies.items()
        if name not in behaviour.COUNTS
    }
    clean = shares.pop("clean")
    doubts = []
    for name, share in shares.items():
        spread = ((clean * (1 - clean) + share * (1 - share)) / rows) ** 0.5
        p_value = float(norm.sf((clean - share - FRAGILE) / spread)) * len(shares)
        lost = 100 * (accuracies["clean"] - accuracies[name])
        figures = f"by {lost:.0f} points on images {behaviour.words(name)}"
        doubts.append(Doubt("fragile, as accuracy falls", figures, p_value))
    return sorted(doubts, key=lambda doubt: doubt.p_value)
