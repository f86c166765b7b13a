"""One model's results at two revisions: whether the new ones are better."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from imageproof.base._dataset import Dataset, Probabilities
from imageproof.judge._comparison import Candidate, Pair, compare_pair
from imageproof.judge._timing import Training
from imageproof.judge._verdicts import as_dict, p_text


class Change(NamedTuple):
    """A value at both revisions, None where there is none; a number unless it is a param."""

    old: Any
    new: Any

    @property
    def diff(self) -> float | None:
        return None if None in self else self.new - self.old

    def as_dict(self) -> dict[str, Any]:
        """As `dvc metrics diff --json` writes it."""
        return {**self._asdict(), "diff": self.diff}


class Recorded(NamedTuple):
    """What is recorded of a model at a revision.

    `test.accuracy`, `elapsed_s` and `size_mb` are among the metrics.

    `sensitivity` on the test rows by class name; `probabilities` float32 (n, classes) of the test
    rows.
    """

    metrics: Mapping[str, float]
    sensitivity: Mapping[str, float | None]
    probabilities: Probabilities
    training: Training


@dataclass(frozen=True, eq=False, slots=True)
class Difference:
    """`pair` is None without the same test rows at both revisions."""

    metrics: dict[str, Change]
    sensitivity: dict[str, Change]
    pair: Pair | None
    state: str

    @property
    def verdict(self) -> str:
        accuracies = [f"{100 * accuracy:.2f}" for accuracy in self.metrics["test.accuracy"]]
        line = f"{self.state}: accuracy {' → '.join(dict.fromkeys(accuracies))} %"
        if self.pair and self.pair.disagreements:
            line += f", {p_text(self.pair.p_value)}"
        return line

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "state": self.state,
            "verdict": self.verdict,
            "metrics": {name: change.as_dict() for name, change in self.metrics.items()},
            "sensitivity": {name: change.as_dict() for name, change in self.sensitivity.items()},
            "comparison": self.pair and as_dict(self.pair),
        }


def compare_results(
    old: Recorded,
    new: Recorded,
    times: Mapping[str, float | None],
    test: Dataset | None,
) -> Difference:
    """Compare a model's results at two revisions.

    `times` are those of the trainings, `test` are the test rows if both revisions have the same.
    """
    pair = None
    state = "not comparable"
    if test:
        first, second = (
            Candidate(name, result.probabilities.argmax(axis=1), times[name])
            for name, result in (("old", old), ("new", new))
        )
        pair = compare_pair(first, second, test.labels, test.groups)
        state = _state(pair)
    metrics = changes(old.metrics, new.metrics)
    return Difference(metrics, changes(old.sensitivity, new.sensitivity), pair, state)


def _state(pair: Pair) -> str:
    if pair.p_value is None and pair.gain:
        return "no verdict"
    if pair.within_noise:
        return "no difference beyond noise" if pair.disagreements else "same answers"
    return "better" if pair.better == "new" else "worse"


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Change]:
    """The values of each key of either side, those of `new` first."""
    return {key: Change(old.get(key), new.get(key)) for key in {**new, **old}}
