"""The promotion gate: its params, what it compares, and its decision."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import nan
from typing import Annotated

from pydantic import BeforeValidator, Field

from imageproof.base.dataset import Labels, Probabilities, Rows
from imageproof.base.files import StrictModel
from imageproof.base.inference import not_probabilities
from imageproof.judge import calibration
from imageproof.judge.groups import independent

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


@dataclass(frozen=True, eq=False, slots=True)
class Contender:
    """The challenger or the champion.

    `predicted` int64 (n,): predicted classes of the hold-out rows, None if they are unusable; then
    `finding` says why. `by_chance` is the `calibration_error`, 0…1, that a calibrated model
    may have on so many rows; `asked` says how it was asked, which is a check of its own.
    """

    name: str
    predicted: Labels | None
    signature: str
    finding: str | None = None
    calibration_error: float = nan
    by_chance: float = 0.0
    asked: str = ""

    @classmethod
    def answering(
        cls,
        name: str,
        probabilities: Probabilities,
        reference: Labels,
        signature: str = "",
        groups: Rows | None = None,
        asked: str = "",
    ) -> "Contender":
        """One that predicts float32 (n, classes) where the true classes are int64 (n,)."""
        if finding := not_probabilities(probabilities):
            return cls(name, None, signature, finding)
        error = calibration.calibration_error(probabilities, reference)
        predicted = probabilities.argmax(axis=1)
        by_chance = calibration.chance_calibration_error(
            probabilities, independent(predicted == reference, groups)
        )
        return cls(name, predicted, signature, None, error, by_chance, asked)


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts about the challenger besides its predictions.

    `latency_ms`: 95th percentile of the time for a request, by its number of images, 1 and others.
    A finding says what is wrong with the training data or the code. `coverage` is that of the
    answer sets on the hold-out rows, `unsure` the share that cannot be used, `coverage_p_value`
    the chance of so low a coverage. `test_right` of `test_rows` are predicted right: the test rows
    that are not hold-out rows, or the independent ones that tell as much.
    """

    latency_ms: Mapping[int, float]
    cpu: str
    size_mb: float
    data_md5: str
    data_finding: str | None
    commit: str
    commit_finding: str | None
    coverage: float = nan
    coverage_asked: float = nan
    coverage_p_value: float = nan
    unsure: float = nan
    test_right: float = 0
    test_rows: float = 0


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
        found = champion.finding or "images of different sizes"
        return Check(name, False, found, "the same input size and classes")
    return Check(name, True, f"no champion to compare with{left_out}")


def approval(approved_by: str, rejected_by: str) -> Check | None:
    """A manual approval or rejection as a check; None if nobody was asked."""
    if not approved_by and not rejected_by:
        return None
    found = f"rejected by {rejected_by}" if rejected_by else f"approved by {approved_by}"
    return Check(APPROVAL, not rejected_by, found, "a person's approval")
