"""The gate's checks of the challenger alone and beside the baseline, named as in params.yaml."""

from collections.abc import Mapping
from functools import partial

import numpy as np

from imageproof.base._dataset import Hits
from imageproof.judge._comparison import paired_p_value
from imageproof.judge._confusion import balance, confusion_matrix
from imageproof.judge._groups import FEWEST, Intervals, clopper_pearson, independent
from imageproof.judge._verdicts import beside, p_text
from imageproof.judge.confidence import Sets, answer_sets, coverage_p_value, threshold, unsure
from imageproof.judge.gate import Check, Contender, Evidence, Rule
from imageproof.judge.scores import calibration_error, errors_by_chance


def share(figure: str, model: Contender, evidence: Evidence) -> float:
    """`accuracy`, `balanced_accuracy` or `macro_f1` of a model, 0…1."""
    matrix = confusion_matrix(model.predicted, evidence.labels, classes=len(evidence.names))
    if figure == "accuracy":
        return float(matrix.trace() / matrix.sum())
    return balance(matrix)[figure]


def min_share(figure: str, evidence: Evidence, limit: float) -> Check:
    value = share(figure, evidence.challenger, evidence)
    text = f"{beside(value, limit)}; hold-out rows: {len(evidence.labels):,}"
    figures = {f"holdout_{figure}": value}
    return Check(f"min_{figure}", value >= limit, text, f"at least {limit:g}", figures)


def min_sensitivity(evidence: Evidence, limit: float) -> Check:
    """Each class counts by the lower end of its 95 % interval; see `Intervals`.

    The end is 0 if the class has no rows, or rows of one group only.
    """
    rows = evidence.by_class()
    right = evidence.by_class(evidence.hits)
    effective = Intervals(evidence.hits, evidence.groups).effective_by_class(
        evidence.labels, len(rows)
    )
    shares = right / np.maximum(rows, 1)
    ends = [clopper_pearson(*pair)[0] for pair in zip(shares, effective, strict=True)]
    worst = int(np.argmin(ends))
    end = ends[worst]
    # the name after its figures: behind one in Hebrew, a page would put them in another order
    counts = f"{right[worst]:,} of {rows[worst]:,} rows of class {evidence.names[worst]} are right"
    remark = "; one group only" if effective[worst] == 0 < rows[worst] else ""
    text = f"{counts}, so at least {beside(end, limit)} (95 % interval{remark})"
    figures = {"least_class": worst, "least_class_sensitivity": end}
    allowed = f"at least {limit:g} in each class"
    return Check("min_sensitivity", end >= limit, text, allowed, figures)


def beats_baseline(evidence: Evidence, level: float) -> Check:
    """Refuse a challenger that is worse beyond chance, not one that is as good."""
    accuracy = evidence.hits.mean()
    baseline_accuracy = evidence.baseline_hits.mean()
    p_value, words = worse(evidence, evidence.baseline_hits, level)
    shares = f"{accuracy:.4f} against {baseline_accuracy:.4f} of the baseline"
    text = f"{shares} ({evidence.baseline}); {words}"
    figures = {"baseline_accuracy": float(baseline_accuracy), "baseline_worse_p_value": p_value}
    return tested("beats_baseline", p_value, level, text, figures)


def worse(evidence: Evidence, rival_hits: Hits, level: float) -> tuple[float, str]:
    """The p-value of the challenger being worse than its rival, and that in words."""
    change = evidence.hits.astype(int) - rival_hits
    p_value, differing = paired_p_value(change, evidence.groups, alternative="less")
    remark = "" if evidence.groups is None else f" by {differing:,} groups that differ"
    if p_value is None:
        p_value = 1.0
        remark += f"; too few groups to tell, {FEWEST} needed"
    return p_value, f"worse with {p_text(p_value, level)}{remark}"


def tested(
    name: str,
    p_value: float,
    level: float,
    text: str,
    figures: dict[str, float],
) -> Check:
    """A check that fails if the p-value is below the level."""
    return Check(name, p_value >= level, text, f"p at least {level:g}", figures)


def max_calibration_error(evidence: Evidence, limit: float) -> Check:
    probabilities = evidence.challenger.probabilities
    error = calibration_error(probabilities, evidence.labels)
    effective = independent(evidence.hits, evidence.groups)
    by_chance = round(min(1.0, float(errors_by_chance(probabilities, effective).ppf(0.95))), 4)
    text = f"{beside(error, limit + by_chance)} between probabilities and accuracy"
    text += f"; hold-out rows: {len(evidence.labels):,}"
    allowed = f"at most {limit:g} more than {by_chance:.4f} by chance"
    figures = {"holdout_ece": error, "holdout_ece_by_chance": by_chance}
    return Check("max_calibration_error", error <= limit + by_chance, text, allowed, figures)


def coverage_test(evidence: Evidence, level: float) -> Check:
    sets = _answer_sets(evidence)
    held = sets[np.arange(len(sets)), evidence.labels]
    coverage = float(held.mean())
    effective = independent(held, evidence.groups)
    rows = round(effective * len(sets))
    p_value = coverage_p_value(
        round(coverage * rows),
        rows,
        validation_rows=len(evidence.truth_probabilities),
        coverage=evidence.coverage,
        independent=effective,  # of validation rows, whose groups come from the same source
    )
    shares = f"{coverage:.4f} of the answer sets hold the class, {evidence.coverage:g} promised"
    figures = {"holdout_coverage": coverage, "coverage_p_value": p_value}
    return tested("coverage_test", p_value, level, f"{shares}: {p_text(p_value, level)}", figures)


def max_unsure(evidence: Evidence, limit: float) -> Check:
    value = float(unsure(_answer_sets(evidence)).mean())
    text = f"{beside(value, limit)} of the answers"
    allowed = f"at most {limit:g}"
    return Check("max_unsure", value <= limit, text, allowed, {"holdout_unsure": value})


def _answer_sets(evidence: Evidence) -> Sets:
    limit = threshold(evidence.truth_probabilities, evidence.coverage)
    return answer_sets(evidence.challenger.probabilities, limit)


def holdout_test(evidence: Evidence, level: float) -> Check:
    """Fisher's exact test: a model that was fitted to hold-out rows is better on them.

    Where rows come in groups, it is that of as many independent rows.
    """
    from scipy.stats import fisher_exact

    parts = (evidence.hits, evidence.groups), (evidence.test_hits, evidence.test_groups)
    table = [independent(*part) * np.bincount(~part[0], minlength=2) for part in parts]
    p_value = float(fisher_exact(np.rint(table).astype(int), alternative="greater").pvalue)
    holdout, test = (float(hits.mean()) for hits, _ in parts)
    shares = f"{holdout:.4f} on the hold-out, {test:.4f} on test"
    figures = {"test_accuracy": test, "holdout_p_value": p_value}
    return tested("holdout_test", p_value, level, f"{shares}: {p_text(p_value, level)}", figures)


def max_latency_ms(evidence: Evidence, limit: float) -> Check:
    latency = evidence.latency_ms
    times = ", ".join(
        f"{beside(ms, limit, 1)} ms (images: {count})" for count, ms in latency.items()
    )
    text = f"p95 of a request: {times}; {evidence.cpu}"
    figures = {f"latency_{count}_p95_ms": ms for count, ms in latency.items()}
    allowed = f"at most {limit:g} ms for one image"
    return Check("max_latency_ms", latency[1] <= limit, text, allowed, figures)


def max_size_mb(evidence: Evidence, limit: float) -> Check:
    size = evidence.size_mb
    text = f"{beside(size, limit, 1)} MB"
    return Check("max_size_mb", size <= limit, text, f"at most {limit:g}", {"size_mb": size})


ABSOLUTE_CHECKS: Mapping[str, Rule] = {
    "min_accuracy": partial(min_share, "accuracy"),
    "min_balanced_accuracy": partial(min_share, "balanced_accuracy"),
    "min_macro_f1": partial(min_share, "macro_f1"),
    "min_sensitivity": min_sensitivity,
    "beats_baseline": beats_baseline,
    "max_calibration_error": max_calibration_error,
    "coverage_test": coverage_test,
    "max_unsure": max_unsure,
    "holdout_test": holdout_test,
    "max_latency_ms": max_latency_ms,
    "max_size_mb": max_size_mb,
}
