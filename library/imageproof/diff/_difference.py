"""One model's results at two revisions: whether the new ones are better, and what the gate says."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from imageproof.base._dataset import Dataset, Probabilities, Split
from imageproof.base._inference import not_probabilities
from imageproof.base.errors import AnswersError
from imageproof.judge._comparison import Candidate, Pair, compare_pair
from imageproof.judge._timing import Training
from imageproof.judge._verdicts import as_dict, p_text
from imageproof.judge.gate import Contender, Decision, Evidence
from imageproof.judge.limits import PromoteParams
from imageproof.registry._champion_checks import column_of_each_class
from imageproof.registry._decision import decide

# These need the baseline, the registry, the run, metadata, or the model where it is promoted.
SKIPPED_CHECKS = (
    "min_unseen",
    "beats_baseline",
    "max_total_loss",
    "max_slice_loss",
    "coverage_test",
    "max_unsure",
    "max_latency_ms",
    "shadow",
    "same_signature",
    "data_validated",
    "clean_commit",
)


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

    `sensitivity` on the test rows by class name; `probabilities` float32 (n, classes) by split.
    """

    metrics: Mapping[str, float]
    sensitivity: Mapping[str, float | None]
    probabilities: Mapping[str, Probabilities]
    training: Training


@dataclass(frozen=True, eq=False, slots=True)
class Difference:
    """`pair` is None without the same test rows at both revisions, `gate` without hold-out rows.

    `skipped` are the checks that are on, and that the gate was not asked.
    """

    metrics: dict[str, Change]
    sensitivity: dict[str, Change]
    pair: Pair | None
    gate: Decision | None
    state: str
    skipped: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        accuracies = [f"{100 * x:.2f}" for x in self.metrics["test.accuracy"] if x is not None]
        line = f"{self.state}: accuracy {' → '.join(dict.fromkeys(accuracies))} %"
        if self.pair and self.pair.disagreements:
            line += f", {p_text(self.pair.p_value)}"
        if self.gate:
            refusal = f"refuse: {', '.join(self.gate.failed)}"
            line += f"; the gate would {'accept' if self.gate.accepted else refusal}"
        return line

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "state": self.state,
            "verdict": self.verdict,
            "metrics": {name: change.as_dict() for name, change in self.metrics.items()},
            "sensitivity": {name: change.as_dict() for name, change in self.sensitivity.items()},
            "comparison": self.pair and as_dict(self.pair),
            "gate": self.gate and {"accepted": self.gate.accepted, **asdict(self.gate)},
            "gate_not_asked": self.skipped if self.gate else (),
        }


def compare_results(
    results: Mapping[str, Recorded],
    times: Mapping[str, float | None],
    splits: Mapping[str, Split],
    params: PromoteParams | None,
) -> Difference:
    """Compare a model's results `old` and `new`, if it has both; `old` is the gate's champion.

    `times` are those of the trainings. `splits` has `test` and `holdout`, where both revisions have
    the same rows.
    """
    old = results.get("old")
    new = results.get("new")
    pair = None
    state = "not comparable" if old and new else "gone" if old else "new"
    if old and new and "test" in splits:
        pair = _pair(results, times, splits["test"].data)
        state = _state(pair)
    gate = None
    names = SKIPPED_CHECKS if "test" in splits else (*SKIPPED_CHECKS, "holdout_test")
    skipped = tuple(name for name in names if getattr(params, name, None) is not None)
    if new and params and "holdout" in splits:
        evidence = _evidence(old, new, splits)
        gate = decide(evidence, params.model_copy(update=dict.fromkeys(skipped)))
    metrics = changes(old.metrics if old else {}, new.metrics if new else {})
    sensitivity = changes(old.sensitivity if old else {}, new.sensitivity if new else {})
    return Difference(metrics, sensitivity, pair, gate, state, skipped)


def _pair(
    results: Mapping[str, Recorded],
    times: Mapping[str, float | None],
    test: Dataset,
) -> Pair:
    old, new = (
        Candidate(name, result.probabilities["test"].argmax(axis=1), times[name])
        for name, result in results.items()
    )
    return compare_pair(old, new, test.labels, test.groups)


def _state(pair: Pair) -> str:
    if pair.p_value is None and pair.gain:
        return "no verdict"
    if pair.within_noise:
        return "no difference beyond noise" if pair.disagreements else "same answers"
    return "better" if pair.better == "new" else "worse"


def _evidence(
    old: Recorded | None,
    new: Recorded,
    splits: Mapping[str, Split],
) -> Evidence:
    holdout = splits["holdout"].data
    fields: dict[str, Any] = {}
    if "test" in splits:
        test, rows = splits["test"]
        others = ~np.isin(rows, splits["holdout"].rows)  # see `split.holdout_within_test`
        hits = new.probabilities["test"].argmax(axis=1) == test.labels
        groups = None if test.groups is None else test.groups[others]
        fields = {"test_hits": hits[others], "test_groups": groups}
    names = [*new.sensitivity]
    return Evidence(
        challenger=_contender("new", new, names),
        champion=old and _contender("old", old, names),
        labels=holdout.labels,
        names=names,
        groups=holdout.groups,
        size_mb=new.metrics["size_mb"],
        **fields,
    )


def _contender(name: str, result: Recorded, names: list[str]) -> Contender:
    """The model, its answers in the order of these classes, as the gate compares a champion."""
    probabilities = result.probabilities["holdout"]
    try:
        columns = column_of_each_class([*result.sensitivity], names)
    except AnswersError as error:
        return Contender(name, finding=str(error))
    finding = not_probabilities(probabilities) or ""
    unseen = np.ones(len(probabilities), bool)  # as the gate finds out
    return Contender(name, probabilities[:, columns], finding=finding, unseen=unseen)


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Change]:
    """The values of each key of either side, those of `new` first."""
    return {key: Change(old.get(key), new.get(key)) for key in {**new, **old}}
