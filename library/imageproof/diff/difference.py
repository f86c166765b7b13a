"""One model's results at two revisions: whether the new ones are better, and what the gate says."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

from imageproof.base.dataset import Labels, Probabilities, Rows
from imageproof.judge.comparison import Candidate, Pair, as_dict, compare_pair, p_text
from imageproof.judge.gate import Contender, Decision, Facts, PromoteParams
from imageproof.judge.groups import independent
from imageproof.judge.timing import comparable_s
from imageproof.registry.gate_checks import decide

# These need the registry, the run, metadata, or the model on the machine that promotes it.
NOT_ASKED = (
    *("max_total_loss", "max_slice_loss", "coverage_test", "max_unsure", "max_latency_ms"),
    *("same_signature", "data_validated", "clean_commit"),
)


class Change(NamedTuple):
    """A value at both revisions, None where there is none; a number unless it is a param."""

    old: Any
    new: Any

    @property
    def diff(self) -> float | None:
        return None if None in self else self.new - self.old


class Result(NamedTuple):
    """Of one model at one revision; `test.accuracy`, `elapsed_s`, `size_mb` are among the metrics.

    `sensitivity` on the test rows by class name; `probabilities` float32 (n, classes) by split.
    """

    metrics: Mapping[str, float]
    sensitivity: Mapping[str, float | None]
    probabilities: Mapping[str, Probabilities]

    def candidate(self, name: str) -> Candidate:
        seconds = comparable_s(self.metrics["elapsed_s"], self.metrics.get("shared_cores", 0.0))
        return Candidate(name, self.probabilities["test"].argmax(axis=1), seconds)


@dataclass(frozen=True, eq=False, slots=True)
class Difference:
    """`pair` is None without the same test rows at both revisions, `gate` without hold-out rows."""

    metrics: dict[str, Change]
    sensitivity: dict[str, Change]
    pair: Pair | None
    gate: Decision | None
    state: str

    @property
    def verdict(self) -> str:
        accuracies = [f"{100 * x:.2f}" for x in self.metrics["test.accuracy"] if x is not None]
        line = f"{self.state}: accuracy {' → '.join(dict.fromkeys(accuracies))} %"
        if self.pair and self.pair.disagreements:
            line += f", {p_text(self.pair)}"
        if self.gate:
            refusal = f"refuse: {', '.join(self.gate.failed)}"
            line += f"; the gate would {'accept' if self.gate.accepted else refusal}"
        return line

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON; a change as `dvc metrics diff --json` writes it."""
        return {
            "state": self.state,
            "verdict": self.verdict,
            "metrics": {k: v._asdict() | {"diff": v.diff} for k, v in self.metrics.items()},
            "sensitivity": {k: v._asdict() | {"diff": v.diff} for k, v in self.sensitivity.items()},
            "comparison": self.pair and as_dict(self.pair),
            "gate": self.gate and {"accepted": self.gate.accepted, **asdict(self.gate)},
            "gate_not_asked": NOT_ASKED if self.gate else (),
        }


def compare_results(
    old: Result | None,
    new: Result | None,
    labels: Mapping[str, Labels],
    groups: Mapping[str, Rows | None] | None = None,
    *,
    params: PromoteParams | None,
) -> Difference:
    """Compare a model's results, None at a revision without it; `old` is the gate's champion.

    `labels` has the true classes int64 (n,) of `test` and `holdout` where both have the same rows,
    `groups` those of these rows.
    """
    groups = groups or {}
    pair = gate = None
    state = "not comparable" if old and new else "gone" if old else "new"
    if old and new and "test" in labels:
        pair = compare_pair(
            old.candidate("old"), new.candidate("new"), labels["test"], groups.get("test")
        )
        state = "better" if pair.better == "new" else "worse"
        if pair.within_noise:
            state = "no difference beyond noise" if pair.disagreements else "same answers"
    if new and params and "holdout" in labels:
        truth, facts = labels["holdout"], Facts({}, "", new.metrics["size_mb"], "", None, "", None)
        clusters = groups.get("holdout")
        if "test" in labels:
            right = new.probabilities["test"].argmax(axis=1) == labels["test"]
            share = independent(right, groups.get("test"))
            facts = replace(facts, test_right=right.sum() * share, test_rows=len(right) * share)
        gate = decide(
            Contender.answering("new", new.probabilities["holdout"], truth, groups=clusters),
            Contender.answering("old", old.probabilities["holdout"], truth) if old else None,
            truth,
            facts,
            params=params.model_copy(update=dict.fromkeys(NOT_ASKED)),
            former={},
            names=[*new.sensitivity],
            slices={},
            groups=clusters,
        )
    metrics = changes(old.metrics if old else {}, new.metrics if new else {})
    sensitivity = changes(old.sensitivity if old else {}, new.sensitivity if new else {})
    return Difference(metrics, sensitivity, pair, gate, state)


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Change]:
    """The values of each key of either side, those of `new` first."""
    return {key: Change(old.get(key), new.get(key)) for key in {**new, **old}}
