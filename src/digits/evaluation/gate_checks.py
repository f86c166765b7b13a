"""The promotion gate's checks, each named as its key in params.yaml."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from digits.core.dataset import Labels
from digits.evaluation.comparison import mcnemar_exact
from digits.evaluation.gate import (
    ANSWERS,
    Check,
    Contender,
    Decision,
    Facts,
    Former,
    PromoteParams,
)

NO_CHAMPION = "no champion to compare with"


def decide(
    challenger: Contender,
    champion: Contender | None,
    reference: Labels,
    facts: Facts,
    *,
    params: PromoteParams,
    former: Sequence[Former] = (),
    approval: Check | None = None,
    rows_md5: str = "",
) -> Decision:
    """Apply every check that is turned on.

    A challenger with unusable predictions fails the check `answers`, whatever is turned on.

    Args:
        challenger: The model that is to be promoted.
        champion: The present champion; None if there is none.
        reference: int64 (n,), n at least 1: true classes of the hold-out rows.
        facts: Latency, size, data and commit of the challenger.
        params: The limits.
        former: Earlier champions, for `max_total_loss`.
        approval: A manual approval; None if nobody was asked.
        rows_md5: md5 of the file with the hold-out rows.
    """
    if challenger.finding:
        allowed = "probabilities of its classes"
        checks = [Check(ANSWERS, False, challenger.finding, allowed, {})]
    else:
        checks = [
            *absolute(challenger, reference, facts, params),
            *against(challenger, champion, reference, params),
            *in_total(challenger, champion, former, reference, params),
        ]
    checks += [*origin(facts, params), *([approval] if approval else [])]
    return Decision(challenger.name, champion.name if champion else None, (*checks,), rows_md5)


def absolute(
    challenger: Contender, reference: Labels, facts: Facts, params: PromoteParams
) -> Iterator[Check]:
    """Limits that need no champion: accuracy on the hold-out rows, latency, size."""
    if params.min_accuracy is not None:
        accuracy = _accuracy(challenger, reference)
        yield Check(
            "min_accuracy",
            accuracy >= params.min_accuracy,
            f"{accuracy:.4f} on {len(reference):,} hold-out rows",
            f"at least {params.min_accuracy:g}",
            {"holdout_accuracy": accuracy, "holdout_rows": len(reference)},
        )
    if params.max_latency_ms is not None:
        yield Check(
            "max_latency_ms",
            facts.latency_ms <= params.max_latency_ms,
            f"{facts.latency_ms:.1f} ms per image (p95)",
            f"at most {params.max_latency_ms:g}",
            {"latency_p95_ms": facts.latency_ms},
        )
    if params.max_size_mb is not None:
        yield Check(
            "max_size_mb",
            facts.size_mb <= params.max_size_mb,
            f"{facts.size_mb:.1f} MB",
            f"at most {params.max_size_mb:g}",
            {"size_mb": facts.size_mb},
        )


def against(
    challenger: Contender, champion: Contender | None, reference: Labels, params: PromoteParams
) -> Iterator[Check]:
    """Same signature as the champion, and no worse on the same rows, in total and per class."""
    for name, check in (
        ("same_signature", _same_signature),
        ("paired_test", _paired_test),
        ("max_accuracy_loss", _accuracy_loss),
        ("max_sensitivity_loss", _sensitivity_loss),
    ):
        limit = getattr(params, name)
        if limit is None or limit is False:
            continue
        if champion is None:
            yield Check(name, True, NO_CHAMPION, "", {})
        elif name != "same_signature" and (
            champion.predicted is None or challenger.predicted is None
        ):
            yield Check(name, False, "they take no common input", "the same hold-out rows", {})
        else:
            yield check(name, challenger, champion, reference, limit)


def _same_signature(
    name: str, challenger: Contender, champion: Contender, _reference: Labels, _limit: bool
) -> Check:
    same = challenger.signature == champion.signature
    return Check(name, same, challenger.signature, f"the champion's: {champion.signature}", {})


def _paired_test(
    name: str, challenger: Contender, champion: Contender, reference: Labels, level: float
) -> Check:
    right, champion_right = _hits(challenger, reference), _hits(champion, reference)
    only, only_champion = int((right & ~champion_right).sum()), int((champion_right & ~right).sum())
    p_value = mcnemar_exact(only, only_champion, alternative="less")
    return Check(
        name,
        p_value >= level,
        f"right alone on {only} rows, champion on {only_champion}; worse with p = {p_value:.3g}",
        f"p at least {level:g}",
        {"only_challenger": only, "only_champion": only_champion, "worse_p_value": p_value},
    )


def _accuracy_loss(
    name: str, challenger: Contender, champion: Contender, reference: Labels, limit: float
) -> Check:
    before, now = _accuracy(champion, reference), _accuracy(challenger, reference)
    return Check(
        name,
        _is_within(limit, before, now, rows=len(reference)),
        f"{now:.4f} against {before:.4f}: {now - before:+.4f}",
        f"a loss of at most {limit:g}",
        {"champion_accuracy": before, "accuracy_change": now - before},
    )


def _sensitivity_loss(
    name: str, challenger: Contender, champion: Contender, reference: Labels, limit: float
) -> Check:
    assert challenger.predicted is not None
    assert champion.predicted is not None
    before = sensitivities(champion.predicted, reference)
    now = sensitivities(challenger.predicted, reference)
    worst = int(np.nanargmin(now - before))
    loss = float(before[worst] - now[worst])
    return Check(
        name,
        loss <= limit + 1e-9,
        f"class {worst}: {now[worst]:.4f} against {before[worst]:.4f}",
        f"a loss of at most {limit:g} in any class",
        {"worst_class": worst, "worst_class_sensitivity_change": -loss},
    )


def sensitivities(predicted: Labels, reference: Labels) -> NDArray[np.float64]:
    """Share of correctly predicted rows per class 0…max(reference); NaN for a class without rows.

    Both arguments are int64 (n,).
    """
    classes = int(reference.max()) + 1
    present = np.bincount(reference, minlength=classes)
    right = np.bincount(reference[predicted == reference], minlength=classes)
    with np.errstate(invalid="ignore"):
        return np.asarray(right / present)


def in_total(
    challenger: Contender,
    champion: Contender | None,
    former: Sequence[Former],
    reference: Labels,
    params: PromoteParams,
) -> Iterator[Check]:
    """No worse than the best champion so far, so that small losses do not add up."""
    if params.max_total_loss is None:
        return
    best = {version: accuracy for version, accuracy in former if accuracy is not None}
    if champion is not None and champion.predicted is not None:
        best[champion.name] = _accuracy(champion, reference)
    mute = ", ".join(version for version, accuracy in former if accuracy is None)
    left_out = f" (left out, as they cannot answer: version {mute})" if mute else ""
    if not best:
        yield Check("max_total_loss", True, NO_CHAMPION + left_out, "", {})
        return
    version = max(best, key=lambda version: best[version])
    before, now = best[version], _accuracy(challenger, reference)
    yield Check(
        "max_total_loss",
        _is_within(params.max_total_loss, before, now, rows=len(reference)),
        f"{now:.4f} against {before:.4f} of version {version}, the best so far{left_out}",
        f"a loss of at most {params.max_total_loss:g}",
        {"holdout_accuracy": now, "best_accuracy": before},
    )


def origin(facts: Facts, params: PromoteParams) -> Iterator[Check]:
    """The challenger's training data passed validation, and a commit holds its code."""
    if params.data_validated:
        finding = facts.data_finding
        found = finding or f"data {facts.data_md5[:12]} passed"
        yield Check("data_validated", finding is None, found, "validation passed", {})
    if params.clean_commit:
        finding = facts.commit_finding
        found = finding or facts.commit[:12]
        yield Check("clean_commit", finding is None, found, "a commit, no uncommitted code", {})


def _is_within(limit: float, before: float, now: float, *, rows: int) -> bool:
    errors = round((before - now) * rows)  # whole rows, so that the limit is exact
    return errors <= limit * rows + 1e-9


def _hits(contender: Contender, reference: Labels) -> NDArray[np.bool_]:
    assert contender.predicted is not None
    return np.equal(contender.predicted, reference)


def _accuracy(contender: Contender, reference: Labels) -> float:
    return float(_hits(contender, reference).mean())
