"""One model's results at two revisions: whether the new ones are better."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from imageproof.judge._comparison import Pair
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


@dataclass(frozen=True, eq=False, slots=True)
class Difference:
    """`pair` is None without the same test rows at both revisions."""

    metrics: dict[str, Change]
    sensitivity: dict[str, Change]
    pair: Pair | None

    @property
    def state(self) -> str:
        """Whether the new results are better."""
        pair = self.pair
        if pair is None:
            return "not comparable"
        if pair.p_value is None and pair.gain:
            return "no verdict"
        if pair.within_noise:
            return "no difference beyond noise" if pair.disagreements else "same answers"
        return "better" if pair.better == "new" else "worse"

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


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Change]:
    """The values of each key of either side, those of `new` first."""
    return {key: Change(old.get(key), new.get(key)) for key in {**new, **old}}
