"""What the gate looks at, and what it says."""

from dataclasses import dataclass
from typing import Annotated, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from digits.core.dataset import Labels

APPROVAL = "approval"  # the name of the check that is a person's word
ANSWERS = "answers"  # the check that fails where the answers cannot be judged

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Off = BeforeValidator(lambda value: None if value is False else value)


class PromoteParams(BaseModel):
    """`promote:` in params.yaml: one check per key; null or false turns it off.

    Shares are of the hold-out rows, 0…1; `paired_test` is the level α of the test.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    min_accuracy: Annotated[Share | None, Off]
    paired_test: Annotated[Annotated[float, Field(gt=0, lt=1)] | None, Off]
    max_accuracy_loss: Annotated[Share | None, Off]
    max_sensitivity_loss: Annotated[Share | None, Off]
    max_total_loss: Annotated[Share | None, Off]
    max_latency_ms: Annotated[Positive | None, Off]
    max_size_mb: Annotated[Positive | None, Off]
    same_signature: bool | None
    data_validated: bool | None
    clean_commit: bool | None


@dataclass(frozen=True, eq=False, slots=True)
class Candidate:
    """A model before the gate.

    `predicted` int64 (n,): its classes for the hold-out rows, None where it cannot take such
    images. `signature` describes what it takes and gives. `finding` says why its answers cannot
    be judged; None where they can.
    """

    name: str
    predicted: Labels | None
    signature: str
    finding: str | None = None


class Former(NamedTuple):
    """A former champion: its version, and its accuracy on the hold-out rows.

    The accuracy is None where it cannot answer: it is gone, or takes another input.
    """

    version: str
    accuracy: float | None


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the challenger besides its predictions.

    `latency_ms` is the 95th percentile of a single image's answer; size in 10⁶ bytes.
    `data_finding` and `commit_finding` say what is wrong with the data and the code it was
    trained from; None where nothing is.
    """

    latency_ms: float
    size_mb: float
    data_md5: str
    data_finding: str | None
    commit: str
    commit_finding: str | None


@dataclass(frozen=True, slots=True)
class Check:
    """One check: what was found, what is allowed, and the figures behind it."""

    name: str
    passed: bool
    found: str
    allowed: str
    figures: dict[str, float]


@dataclass(frozen=True, slots=True)
class Decision:
    """All checks of one challenger against one champion (None: there was none).

    `rows_md5` is that of the file with the hold-out rows.
    """

    challenger: str
    champion: str | None
    checks: tuple[Check, ...]
    rows_md5: str = ""

    @property
    def failed(self) -> list[str]:
        """Names of the checks that were not passed."""
        return [check.name for check in self.checks if not check.passed]

    @property
    def accepted(self) -> bool:
        """Whether every check was passed."""
        return not self.failed

    @property
    def approval(self) -> str:
        """A person's word, as `approved by NAME`; empty where nobody was asked."""
        return next((check.found for check in self.checks if check.name == APPROVAL), "")

    @property
    def figures(self) -> dict[str, float]:
        """The figures of all checks."""
        return {name: value for check in self.checks for name, value in check.figures.items()}
