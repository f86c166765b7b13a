"""The checks of the gate, each named as its key in params.yaml."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from digits.core.dataset import Labels
from digits.evaluation.comparison import mcnemar_exact
from digits.evaluation.gate_decision import Candidate, Check, Facts, Former, PromoteParams

NO_CHAMPION = "no champion to compare with"


def sensitivities(predicted: Labels, reference: Labels) -> NDArray[np.float64]:
    """Per class 0…max(reference) the share of its rows that are called so; NaN without rows."""
    classes = int(reference.max()) + 1
    present = np.bincount(reference, minlength=classes)
    right = np.bincount(reference[predicted == reference], minlength=classes)
    with np.errstate(invalid="ignore"):
        return np.asarray(right / present)


def on_its_own(
    challenger: Candidate, reference: Labels, facts: Facts, params: PromoteParams
) -> Iterator[Check]:
    """Accuracy on the hold-out rows, latency, size."""
    if params.min_accuracy is not None:
        yield _min_accuracy(challenger, reference, params.min_accuracy)
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


def _min_accuracy(challenger: Candidate, reference: Labels, minimum: float) -> Check:
    accuracy = _accuracy(challenger, reference)
    return Check(
        "min_accuracy",
        accuracy >= minimum,
        f"{accuracy:.4f} on {len(reference):,} hold-out rows",
        f"at least {minimum:g}",
        {"holdout_accuracy": accuracy, "holdout_rows": len(reference)},
    )


def against(
    challenger: Candidate, champion: Candidate | None, reference: Labels, params: PromoteParams
) -> Iterator[Check]:
    """The same input, and no worse on the same rows, over all and in each class."""
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
    name: str, challenger: Candidate, champion: Candidate, _reference: Labels, _limit: bool
) -> Check:
    same = challenger.signature == champion.signature
    return Check(name, same, challenger.signature, f"the champion's: {champion.signature}", {})


def _paired_test(
    name: str, challenger: Candidate, champion: Candidate, reference: Labels, level: float
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
    name: str, challenger: Candidate, champion: Candidate, reference: Labels, limit: float
) -> Check:
    before, now = _accuracy(champion, reference), _accuracy(challenger, reference)
    return Check(
        name,
        _within(limit, before, now, rows=len(reference)),
        f"{now:.4f} against {before:.4f}: {now - before:+.4f}",
        f"a loss of at most {limit:g}",
        {"champion_accuracy": before, "accuracy_change": now - before},
    )


def in_total(
    challenger: Candidate,
    champion: Candidate | None,
    former: Sequence[Former],
    reference: Labels,
    params: PromoteParams,
) -> Iterator[Check]:
    """No worse than the best champion so far, however small each single loss was."""
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
        _within(params.max_total_loss, before, now, rows=len(reference)),
        f"{now:.4f} against {before:.4f} of version {version}, the best so far{left_out}",
        f"a loss of at most {params.max_total_loss:g}",
        {"holdout_accuracy": now, "best_accuracy": before},
    )


def _within(limit: float, before: float, now: float, *, rows: int) -> bool:
    errors = round((before - now) * rows)  # whole rows, so that the limit is exact
    return errors <= limit * rows + 1e-9


def _sensitivity_loss(
    name: str, challenger: Candidate, champion: Candidate, reference: Labels, limit: float
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


def origin(facts: Facts, params: PromoteParams) -> Iterator[Check]:
    """The data and the code that the challenger was trained from."""
    if params.data_validated:
        finding = facts.data_finding
        found = finding or f"data {facts.data_md5[:12]} passed"
        yield Check("data_validated", finding is None, found, "validation passed", {})
    if params.clean_commit:
        finding = facts.commit_finding
        found = finding or facts.commit[:12]
        yield Check("clean_commit", finding is None, found, "a commit, no uncommitted code", {})


def _hits(candidate: Candidate, reference: Labels) -> NDArray[np.bool_]:
    if candidate.predicted is None:
        return np.zeros(len(reference), dtype=np.bool_)
    return np.equal(candidate.predicted, reference)


def _accuracy(candidate: Candidate, reference: Labels) -> float:
    return float(_hits(candidate, reference).mean())
