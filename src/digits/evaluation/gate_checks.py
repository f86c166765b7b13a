"""The checks of the promotion gate, each named as its key in params.yaml."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from digits.core.dataset import Labels
from digits.evaluation.gate import Check, Contender, Decision, Facts, PromoteParams

NO_CHAMPION = "no champion to compare with"

Hits = NDArray[np.bool_]  # (n,): whether the prediction for a row is right


def decide(
    challenger: Contender,
    champion: Contender | None,
    reference: Labels,
    facts: Facts,
    *,
    params: PromoteParams,
    former: Mapping[str, float | None],
    approval: Check | None = None,
    rows_md5: str = "",
) -> Decision:
    """Apply every check that is turned on.

    `reference` int64 (n,), n at least 1: true classes of the hold-out rows. `former` maps the
    version of each earlier champion to its accuracy on these rows, None if it cannot answer.
    A challenger with unusable predictions fails the check `answers`, whatever is turned on.
    """
    if challenger.predicted is None:
        allowed = "probabilities of its classes"
        checks = [Check("answers", False, str(challenger.finding), allowed, {})]
    else:
        hits = np.equal(challenger.predicted, reference)
        checks = [
            *absolute(challenger, hits, facts, params),
            *against(challenger, hits, champion, reference, params),
            *in_total(hits, former, champion, reference, params.max_total_loss),
        ]
    checks += [*origin(facts, params), *filter(None, [approval])]
    return Decision(challenger.name, champion.name if champion else None, (*checks,), rows_md5)


def absolute(
    challenger: Contender, hits: Hits, facts: Facts, params: PromoteParams
) -> Iterator[Check]:
    """Limits that need no champion: accuracy, calibration error, latency, size."""
    if (limit := params.min_accuracy) is not None:
        accuracy, rows = float(hits.mean()), len(hits)
        found, allowed = f"{accuracy:.4f} on {rows:,} hold-out rows", f"at least {limit:g}"
        figures = {"holdout_accuracy": accuracy, "holdout_rows": rows}
        yield Check("min_accuracy", accuracy >= limit, found, allowed, figures)
    if (limit := params.max_calibration_error) is not None:
        error, by_chance = challenger.calibration_error, challenger.by_chance
        found = f"{error:.4f} between probabilities and accuracy on {len(hits):,} hold-out rows"
        allowed = f"at most {limit:g}, and {by_chance:.4f} by chance"
        figures = {"holdout_ece": error, "holdout_ece_by_chance": by_chance}
        yield Check("max_calibration_error", error <= limit + by_chance, found, allowed, figures)
    if (limit := params.max_latency_ms) is not None:
        latency = facts.latency_ms
        times = " and ".join(f"{ms:.1f} ms for {count}" for count, ms in latency.items())
        found, allowed = f"images a request: {times} (p95; {facts.cpu})", f"at most {limit:g} for 1"
        figures = {f"latency_{count}_p95_ms": ms for count, ms in latency.items()}
        yield Check("max_latency_ms", latency[1] <= limit, found, allowed, figures)
    if (limit := params.max_size_mb) is not None:
        found, figures = f"{facts.size_mb:.1f} MB", {"size_mb": facts.size_mb}
        yield Check("max_size_mb", facts.size_mb <= limit, found, f"at most {limit:g}", figures)


def against(
    challenger: Contender,
    hits: Hits,
    champion: Contender | None,
    reference: Labels,
    params: PromoteParams,
) -> Iterator[Check]:
    """Same signature as the champion, and no worse on the same rows, in total and per class."""
    comparisons = {
        "paired_test": _paired_test,
        "max_accuracy_loss": _accuracy_loss,
        "max_sensitivity_loss": _sensitivity_loss,
    }
    for name in ("same_signature", *comparisons):
        limit = getattr(params, name)
        if limit is None:
            continue
        if champion is None:
            yield Check(name, True, NO_CHAMPION, "", {})
        elif name == "same_signature":
            same = challenger.signature == champion.signature
            allowed = f"the champion's: {champion.signature}"
            yield Check(name, same, challenger.signature, allowed, {})
        elif champion.predicted is None:
            yield Check(name, False, "images of different sizes", "the same input size", {})
        else:
            before = np.equal(champion.predicted, reference)
            yield comparisons[name](before, hits, reference, limit)


def _paired_test(before: Hits, now: Hits, _reference: Labels, level: float) -> Check:
    from digits.evaluation.comparison import mcnemar_exact  # it loads SciPy

    only, only_champion = int((now & ~before).sum()), int((before & ~now).sum())
    p_value = mcnemar_exact(only, only_champion, alternative="less")
    found = f"right alone on {only} rows, champion on {only_champion}; worse with p = {p_value:.3g}"
    figures = {"only_challenger": only, "only_champion": only_champion, "worse_p_value": p_value}
    return Check("paired_test", p_value >= level, found, f"p at least {level:g}", figures)


def _accuracy_loss(before: Hits, now: Hits, _reference: Labels, limit: float) -> Check:
    accuracy, change = float(before.mean()), float(now.mean()) - float(before.mean())
    found = f"{now.mean():.4f} against {accuracy:.4f}: {change:+.4f}"
    figures = {"champion_accuracy": accuracy, "accuracy_change": change}
    passed = _is_within(limit, accuracy, now)
    return Check("max_accuracy_loss", passed, found, f"a loss of at most {limit:g}", figures)


def _sensitivity_loss(before: Hits, now: Hits, reference: Labels, limit: float) -> Check:
    champions, challengers = sensitivities(before, reference), sensitivities(now, reference)
    worst = int(np.nanargmin(challengers - champions))
    loss = float(champions[worst] - challengers[worst])
    found = f"class {worst}: {challengers[worst]:.4f} against {champions[worst]:.4f}"
    allowed = f"a loss of at most {limit:g} in any class"
    figures = {"worst_class": worst, "worst_class_sensitivity_change": -loss}
    return Check("max_sensitivity_loss", loss <= limit + 1e-9, found, allowed, figures)


def sensitivities(hits: Hits, reference: Labels) -> NDArray[np.float64]:
    """Share of hits per class 0…max(reference), int64 (n,); NaN for a class without rows."""
    classes = int(reference.max()) + 1
    with np.errstate(invalid="ignore"):
        return np.asarray(np.bincount(reference[hits], minlength=classes) / np.bincount(reference))


def in_total(
    hits: Hits,
    former: Mapping[str, float | None],
    champion: Contender | None,
    reference: Labels,
    limit: float | None,
) -> Iterator[Check]:
    """No worse than the best champion so far, so that small losses do not add up."""
    if limit is None:
        return
    best = {version: accuracy for version, accuracy in former.items() if accuracy is not None}
    unknown = ", ".join(version for version in former if version not in best)
    left_out = f" (left out, as they cannot answer: version {unknown})" if unknown else ""
    if champion and champion.predicted is not None:
        best[champion.name] = float((champion.predicted == reference).mean())
    if not best:
        yield Check("max_total_loss", True, NO_CHAMPION + left_out, "", {})
        return
    version = max(best, key=lambda version: best[version])
    before, now = best[version], float(hits.mean())
    found = f"{now:.4f} against {before:.4f} of version {version}, the best so far{left_out}"
    figures = {"holdout_accuracy": now, "best_accuracy": before}
    passed = _is_within(limit, before, hits)
    yield Check("max_total_loss", passed, found, f"a loss of at most {limit:g}", figures)


def _is_within(limit: float, before: float, now: Hits) -> bool:
    errors = round((before - float(now.mean())) * len(now))  # whole rows: the limit is exact
    return errors <= limit * len(now) + 1e-9


def origin(facts: Facts, params: PromoteParams) -> Iterator[Check]:
    """The challenger's training data passed validation, and a commit holds its code."""
    if params.data_validated:
        found = facts.data_finding or f"data {facts.data_md5[:12]} passed"
        yield Check("data_validated", not facts.data_finding, found, "validation passed", {})
    if params.clean_commit:
        found = facts.commit_finding or facts.commit[:12]
        allowed = "a commit, no uncommitted code"
        yield Check("clean_commit", not facts.commit_finding, found, allowed, {})
