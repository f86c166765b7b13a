"""The promotion gate: its params, what it compares, and its decision."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import nan
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field

from imageproof.base.dataset import Hits, Labels, Probabilities, Rows
from imageproof.base.files import StrictModel
from imageproof.base.inference import not_probabilities

APPROVAL = "approval"  # check that holds a manual approval or rejection

Off = BeforeValidator(lambda value: None if value is False else value)
Share = Annotated[Annotated[float, Field(ge=0, le=1)] | None, Off]
Level = Annotated[Annotated[float, Field(gt=0, lt=1)] | None, Off]
Positive = Annotated[Annotated[float, Field(gt=0)] | None, Off]
Switch = Annotated[bool | None, Off]


class PromoteParams(StrictModel):
    """`promote:` in params.yaml: one check per key; null or false turns it off.

    Shares are of the hold-out rows, 0…1; what ends in `_test` is the level α of a test.
    """

    min_accuracy: Share
    min_balanced_accuracy: Share
    min_macro_f1: Share
    min_sensitivity: Share
    paired_test: Level
    max_accuracy_loss: Share
    max_balanced_accuracy_loss: Share
    max_macro_f1_loss: Share
    max_sensitivity_loss: Share
    max_total_loss: Share
    max_slice_loss: Share
    max_calibration_error: Share
    coverage_test: Level
    max_unsure: Share
    holdout_test: Level
    max_latency_ms: Positive
    max_size_mb: Positive
    same_signature: Switch
    data_validated: Switch
    clean_commit: Switch


def _nothing() -> NDArray[Any]:
    return np.zeros(0)


@dataclass(frozen=True, eq=False)
class Contender:
    """The challenger or a champion, and its answers to the hold-out rows.

    `probabilities` float32 (n, classes); if they are unusable, `finding` says why.
    """

    name: str
    probabilities: Probabilities = field(default_factory=_nothing)
    signature: str = ""
    finding: str = ""

    @classmethod
    def answering(cls, name: str, probabilities: Probabilities, signature: str = "") -> "Contender":
        return cls(name, probabilities, signature, not_probabilities(probabilities) or "")

    @cached_property
    def predicted(self) -> Labels:
        """Predicted classes int64 (n,)."""
        predicted: Labels = np.argmax(self.probabilities, axis=1)
        return predicted


class Paired(NamedTuple):
    """By class, int64 (classes,): `rows` that a former champion and the challenger answered, and
    how many of them each got right."""

    rows: Labels
    former_hits: Labels
    hits: Labels


@dataclass(frozen=True, eq=False, kw_only=True)
class Evidence:
    """All that the gate judges. What a project does not measure has no check that is on.

    `labels` int64 (n,), n at least 1, are the true classes of the hold-out rows; `groups` and
    `slices` are those of these rows, `names` those of the classes. `former` has the answers of each
    earlier champion by version, None if it cannot answer. `test_hits` says which of the test rows
    that are no hold-out rows are right. `truth_probabilities` are those of `outputs.Calibration`,
    `coverage` is what the answer sets promise. `latency_ms` is the 95th percentile of the time for
    a request, by its number of images. `data` and `commit` say whether they are fit, and what was
    found; `asked` says how the challenger was asked.
    """

    challenger: Contender
    champion: Contender | None
    labels: Labels
    names: Sequence[str]
    groups: Rows | None = None
    slices: Mapping[tuple[str, str], Rows] = field(default_factory=dict)
    former: Mapping[str, Paired | None] = field(default_factory=dict)
    rows_md5: str = ""
    asked: str = ""
    test_hits: Hits = field(default_factory=_nothing)
    test_groups: Rows | None = None
    truth_probabilities: NDArray[np.float32] = field(default_factory=_nothing)
    coverage: float = nan
    latency_ms: Mapping[int, float] = field(default_factory=dict)
    cpu: str = ""
    size_mb: float = nan
    data: tuple[bool, str] = (True, "")
    commit: tuple[bool, str] = (True, "")
    approval: "Check | None" = None

    @cached_property
    def hits(self) -> Hits:
        return np.equal(self.challenger.predicted, self.labels)

    @cached_property
    def champion_hits(self) -> Hits | None:
        """None if there is no champion, or it cannot answer."""
        if self.champion is None or self.champion.finding:
            return None
        return np.equal(self.champion.predicted, self.labels)

    def by_class(self, hits: Hits) -> Labels:
        """How many rows of each class are right, int64 (classes,)."""
        return np.bincount(self.labels[hits], minlength=len(self.names))


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    passed: bool
    found: str
    allowed: str = ""
    figures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """All checks of a challenger against the champion (None: there was none).

    `rows_md5` is the md5 of the file with the hold-out rows, `right` how many the challenger gets
    right, by class; `note` says if it is not better than the champion.
    """

    challenger: str
    champion: str | None
    checks: tuple[Check, ...]
    rows_md5: str = ""
    right: tuple[int, ...] = ()
    note: str = ""

    @property
    def failed(self) -> list[str]:
        return [check.name for check in self.checks if not check.passed]

    @property
    def accepted(self) -> bool:
        return not self.failed

    @property
    def approval(self) -> str:
        """`approved by NAME` or `rejected by NAME`; empty if nobody was asked."""
        return next((check.found for check in self.checks if check.name == APPROVAL), "")

    @property
    def figures(self) -> dict[str, float]:
        return {name: value for check in self.checks for name, value in check.figures.items()}


def unpaired(name: str, champion: Contender | None, left_out: str = "") -> Check:
    """A check against a champion that there is not, or that has other images or classes."""
    if champion:
        return Check(name, False, champion.finding, "the same input size and classes")
    return Check(name, True, f"no champion to compare with{left_out}")


def approval(approved_by: str, rejected_by: str) -> Check | None:
    """A manual approval or rejection as a check; None if nobody was asked."""
    if not approved_by and not rejected_by:
        return None
    answer = f"rejected by {rejected_by}" if rejected_by else f"approved by {approved_by}"
    return Check(APPROVAL, not rejected_by, answer, "a person's approval")
