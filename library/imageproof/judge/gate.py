"""The promotion gate: what it compares, and its decision."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import md5
from math import nan
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imageproof.base._dataset import Hits, Labels, Probabilities, Rows

if TYPE_CHECKING:
    import pandas as pd

APPROVAL = "approval"  # check that holds a manual approval or rejection
GATE = "the gate"  # who rejects what nobody was asked about, because of its other checks


def _pick(values: NDArray[Any] | None, rows: Rows) -> NDArray[Any] | None:
    return None if values is None else values[rows]


def _nothing() -> NDArray[Any]:
    return np.zeros(0)


@dataclass(frozen=True, eq=False)
class Contender:
    """The challenger or a champion, and its answers to the hold-out rows.

    `probabilities` float32 (n, classes); if they are unusable, `finding` says why. `unseen` bool
    (n,) says which rows it was not trained, stopped, calibrated or chosen on; None is unknown.
    `older` bool (n,) says which rows its data had, as hold-out rows too. `fit` is how pictures
    become its images; all are asked for those of the challenger.
    """

    name: str
    probabilities: Probabilities = field(default_factory=_nothing)
    finding: str = ""
    unseen: Hits | None = None
    older: Hits | None = None
    fit: str = ""

    @cached_property
    def predicted(self) -> Labels:
        """Predicted classes int64 (n,)."""
        predicted: Labels = np.argmax(self.probabilities, axis=1)
        return predicted

    @property
    def title(self) -> str:
        return f"{'version ' * self.name.isdecimal()}{self.name}"

    def take(self, rows: Rows) -> "Contender":
        """Its answers to these rows."""
        if self.finding:
            return self
        return replace(
            self,
            probabilities=self.probabilities[rows],
            unseen=_pick(self.unseen, rows),
            older=_pick(self.older, rows),
        )


class Paired(NamedTuple):
    """The challenger beside a former champion, on the rows that neither of them has seen.

    Counts of each class, int64 (classes,): the `rows`, and how many of them the former champion and
    the challenger get right. `md5` is that of the rows' hashes.
    """

    rows: Labels
    former_hits: Labels
    hits: Labels
    md5: str = ""


@dataclass(frozen=True, eq=False, kw_only=True)
class Evidence:
    """All that the gate judges. What a project does not measure has no check that is on.

    `labels` int64 (n,), n at least 1, are the true classes of the hold-out rows; `groups`,
    `metadata` (see `find_slices`) and `hashes` (bytes) are those of these rows, `names` those of
    the classes. `former` has the answers of earlier champions by version, `left_out` says which
    have none, and why. `facts` are checks that no answer decides, by name. `test_hits` says which
    of the test rows are right.
    `truth_probabilities` are those of `outputs.Calibration`, `coverage` is what the answer sets
    promise. `latency_ms` is the 95th percentile of the time for a request, by its number of images.
    `asked` says how the challenger was asked. `baseline` is what the baseline is called,
    `baseline_hits` bool (n,) which of the hold-out rows it gets right.
    """

    challenger: Contender
    champion: Contender | None
    labels: Labels
    names: Sequence[str]
    groups: Rows | None = None
    metadata: "pd.DataFrame | None" = None
    hashes: NDArray[np.bytes_] | None = None
    former: Mapping[str, Paired] = field(default_factory=dict)
    left_out: str = ""
    facts: Mapping[str, "Check"] = field(default_factory=dict)
    asked: str = ""
    baseline: str = ""
    baseline_hits: Hits = field(default_factory=_nothing)
    test_hits: Hits = field(default_factory=_nothing)
    test_groups: Rows | None = None
    truth_probabilities: NDArray[np.float32] = field(default_factory=_nothing)
    coverage: float = nan
    latency_ms: Mapping[int, float] = field(default_factory=dict)
    cpu: str = ""
    size_mb: float = nan

    def take(self, *unseen: Hits | None) -> "Evidence":
        """The evidence on the rows that none of these has seen."""
        masks = [np.zeros(len(self.labels), bool) if rows is None else rows for rows in unseen]
        picks = np.flatnonzero(np.logical_and.reduce(masks))
        metadata = self.metadata
        if metadata is not None and not metadata.columns.empty:  # without columns it has no rows
            metadata = metadata.iloc[picks]
        return replace(
            self,
            challenger=self.challenger.take(picks),
            champion=self.champion and self.champion.take(picks),
            labels=self.labels[picks],
            groups=_pick(self.groups, picks),
            metadata=metadata,
            hashes=_pick(self.hashes, picks),
            baseline_hits=self.baseline_hits[picks] if self.baseline else self.baseline_hits,
        )

    @property
    def hashes_md5(self) -> str:
        if self.hashes is None:
            return ""
        return md5(np.sort(self.hashes).tobytes(), usedforsecurity=False).hexdigest()

    @cached_property
    def hits(self) -> Hits:
        return np.equal(self.challenger.predicted, self.labels)

    @cached_property
    def champion_hits(self) -> Hits | None:
        """None if there is no champion, or it cannot answer."""
        if self.champion is None or self.champion.finding:
            return None
        return np.equal(self.champion.predicted, self.labels)

    def by_class(self, rows: Hits | slice = slice(None)) -> Labels:
        """How many of these rows are of each class, int64 (classes,)."""
        return np.bincount(self.labels[rows], minlength=len(self.names))

    def paired(self, former_hits: Labels) -> Paired:
        """The challenger beside a champion that gets so many of these rows right, by class."""
        return Paired(self.by_class(), former_hits, self.by_class(self.hits), self.hashes_md5)


@dataclass(frozen=True, slots=True)
class Check:
    """What a rule found in a challenger, beside what is allowed.

    If `undecided`, it fails only because rows are too few, or because nobody was asked.
    """

    name: str
    passed: bool
    found: str
    allowed: str = ""
    figures: dict[str, float] = field(default_factory=dict)
    undecided: bool = False


Rule = Callable[[Evidence, Any], Check]  # the last argument is the limit


@dataclass(frozen=True, slots=True)
class Compared:
    """Which models were judged on how many rows that none has seen, and the md5 of their hashes."""

    models: tuple[str, ...]
    rows: int
    md5: str


@dataclass(frozen=True, slots=True)
class Decision:
    """All checks of a challenger against the champion (None: there was none).

    `compared` begins with the challenger alone; `right` is how many of these rows it gets right, by
    class. `note` says if it is not better than the champion, or what helps if nothing is decided.
    """

    challenger: str
    champion: str | None
    checks: tuple[Check, ...]
    compared: tuple[Compared, ...] = ()
    right: tuple[int, ...] = ()
    note: str = ""

    @property
    def failed(self) -> list[str]:
        return [check.name for check in self.checks if not check.passed]

    @property
    def accepted(self) -> bool:
        return not self.failed

    @property
    def undecided(self) -> bool:
        """Whether nothing speaks against the challenger but that rows are too few."""
        return not self.accepted and all(check.passed or check.undecided for check in self.checks)

    @property
    def verdict(self) -> str:
        return "accepted" if self.accepted else "undecided" if self.undecided else "refused"

    @property
    def approval(self) -> str:
        """`approved by NAME` or `rejected by NAME`; empty if nobody was asked."""
        return next((check.found for check in self.checks if check.name == APPROVAL), "")

    @property
    def figures(self) -> dict[str, float]:
        """Those of all checks, and the accuracy, whether or not a check limits it."""
        figures = {name: value for check in self.checks for name, value in check.figures.items()}
        if self.compared and self.compared[0].rows:
            figures["holdout_accuracy"] = sum(self.right) / self.compared[0].rows
        return figures


def unpaired(name: str, champion: Contender | None, left_out: str = "") -> Check:
    """A check against a champion that there is not, or that has other images or classes."""
    if champion:
        allowed = "the same input size and classes; else `rollback --force` or another project.name"
        return Check(name, False, champion.finding, allowed)
    return Check(name, True, f"no champion to compare with{left_out}")


def approval(approved_by: str, rejected_by: str) -> Check | None:
    """A manual approval or rejection as a check; None if nobody was asked."""
    if not approved_by and not rejected_by:
        return None
    who = f"rejected by {rejected_by}" if rejected_by else f"approved by {approved_by}"
    is_unasked = rejected_by == GATE
    return Check(APPROVAL, not rejected_by, who, "a person's approval", undecided=is_unasked)
