"""The checks of the promotion gate, each named as its key in params.yaml."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import fisher_exact

from imageproof.base.dataset import Hits, Labels, Rows
from imageproof.judge.comparison import mcnemar_exact
from imageproof.judge.gate import Check, Contender, Decision, Facts, PromoteParams, unpaired
from imageproof.judge.groups import FEWEST, independent, sign_flips
from imageproof.judge.slices import Slices, slice_loss
from imageproof.registry.gate_balance import min_sensitivity, shares, with_remarks

NO_SLICES = "no column of metadata that makes slices"
ORDER = ["answers", *PromoteParams.model_fields]  # of the checks

Champion = Contender | None  # None: there is none


def decide(
    challenger: Contender,
    champion: Champion,
    reference: Labels,
    facts: Facts,
    *,
    params: PromoteParams,
    former: Mapping[str, Labels | None],
    names: Sequence[str],
    slices: Slices,
    groups: Rows | None = None,
    approval: Check | None = None,
    rows_md5: str = "",
) -> Decision:
    """Apply every check that is turned on.

    `reference` int64 (n,), n at least 1: true classes of the hold-out rows. `former` maps the
    version of each earlier champion to its `right_by_class` on these rows, None if it cannot
    answer; `names` are those of the classes, `slices` and `groups` of these rows. A challenger with
    unusable predictions fails the check `answers`, whatever is on.
    """
    right: list[int] = []
    note, before = "", None
    if champion and champion.predicted is not None:
        before = np.equal(champion.predicted, reference)
    if challenger.predicted is None:
        checks = [_answers(str(challenger.finding), passed=False)]
    else:
        hits = np.equal(challenger.predicted, reference)
        right = right_by_class(hits, reference).tolist()
        if before is not None and (now := hits.mean()) <= (then := before.mean()):
            found = f"right on {now:.4f} of the hold-out rows against {then:.4f}"
            note = f"not better than the champion: {found}"
        checks = []
        if (limit := params.min_sensitivity) is not None:
            checks.append(min_sensitivity(names, hits, reference, limit, groups))
        checks += [
            *alone(challenger, hits, groups, facts, params),
            *against(Paired(hits, before, groups), challenger, champion, slices, params),
            *against_all(hits, former, champion, before, reference, params, names),
            *shares(challenger.predicted, champion, reference, params),
        ]
        checks = with_remarks(checks, reference, params, names)
        checks.sort(key=lambda check: ORDER.index(check.name))
    checks += [*origin(facts, params), *filter(None, [approval])]
    old = champion.name if champion else None
    return Decision(challenger.name, old, (*checks,), rows_md5, (*right,), note)


def _answers(found: str, *, passed: bool) -> Check:
    return Check("answers", passed, found, "the same probabilities however it is asked")


def right_by_class(hits: Hits, reference: Labels) -> Labels:
    """How many rows of each class 0…max(reference), int64 (n,), are predicted right."""
    return np.bincount(reference[hits], minlength=int(reference.max()) + 1)


def alone(
    challenger: Contender,
    hits: Hits,
    groups: Rows | None,
    facts: Facts,
    params: PromoteParams,
) -> Iterator[Check]:
    """The checks that need no champion."""
    if challenger.asked:
        yield _answers(challenger.asked, passed=True)
    if (limit := params.max_calibration_error) is not None:
        error, by_chance = challenger.calibration_error, challenger.by_chance
        found = f"{error:.4f} between probabilities and accuracy on {len(hits):,} hold-out rows"
        allowed = f"at most {limit:g}, and {by_chance:.4f} by chance"
        figures = {"holdout_ece": error, "holdout_ece_by_chance": by_chance}
        yield Check("max_calibration_error", error <= limit + by_chance, found, allowed, figures)
    if (limit := params.coverage_test) is not None:
        p_value = facts.coverage_p_value
        held = f"{facts.coverage:.4f} of the answer sets hold the class"
        found = f"{held}, {facts.coverage_asked:g} promised: p = {p_value:.3g}"
        figures = {"holdout_coverage": facts.coverage, "coverage_p_value": p_value}
        yield Check("coverage_test", p_value >= limit, found, f"p at least {limit:g}", figures)
    if (limit := params.max_unsure) is not None:
        found, figures = f"{facts.unsure:.4f} of the answers", {"holdout_unsure": facts.unsure}
        yield Check("max_unsure", facts.unsure <= limit, found, f"at most {limit:g}", figures)
    if (limit := params.holdout_test) is not None:
        yield _holdout_test(hits, independent(hits, groups), facts, limit)
    if (limit := params.max_latency_ms) is not None:
        latency = facts.latency_ms
        times = " and ".join(f"{ms:.1f} ms for {count}" for count, ms in latency.items())
        found, allowed = f"images a request: {times} (p95; {facts.cpu})", f"at most {limit:g} for 1"
        figures = {f"latency_{count}_p95_ms": ms for count, ms in latency.items()}
        yield Check("max_latency_ms", latency[1] <= limit, found, allowed, figures)
    if (limit := params.max_size_mb) is not None:
        found, figures = f"{facts.size_mb:.1f} MB", {"size_mb": facts.size_mb}
        yield Check("max_size_mb", facts.size_mb <= limit, found, f"at most {limit:g}", figures)


def _holdout_test(hits: Hits, share: float, facts: Facts, level: float) -> Check:
    """Fisher's exact test: a model that was fitted to hold-out rows is better on them.

    Where rows come in groups, it is that of as many independent rows: `share` of them.
    """
    if not (rows := facts.test_rows):
        return Check("holdout_test", True, "no test rows beside the hold-out rows")
    right, test_right = share * hits.sum(), facts.test_right
    table = [[right, share * len(hits) - right], [test_right, rows - test_right]]
    p_value = float(fisher_exact(np.rint(table).astype(int), alternative="greater").pvalue)
    found = f"{hits.mean():.4f} on the hold-out, {test_right / rows:.4f} on test: p = {p_value:.3g}"
    figures = {"test_accuracy": test_right / rows, "holdout_p_value": p_value}
    return Check("holdout_test", p_value >= level, found, f"p at least {level:g}", figures)


class Paired(NamedTuple):
    """Which rows challenger and champion (None: it cannot answer) get right, and their groups."""

    now: Hits
    before: Hits | None
    groups: Rows | None


def against(
    paired: Paired,
    challenger: Contender,
    champion: Champion,
    slices: Slices,
    params: PromoteParams,
) -> Iterator[Check]:
    now, before, groups = paired
    for name in ("same_signature", "paired_test", "max_slice_loss"):
        if (limit := getattr(params, name)) is None:
            continue
        if name == "max_slice_loss" and not slices:
            yield Check(name, True, NO_SLICES)
        elif champion and name == "same_signature":
            old, signature = champion.signature, challenger.signature
            yield Check(name, signature == old, signature, f"the champion's: {old}")
        elif before is None:
            yield unpaired(name, champion)
        elif name == "paired_test":
            yield _paired_test(before, now, limit, groups)
        else:
            yield Check(name, *slice_loss(slices, before, now, limit, groups))


def _paired_test(before: Hits, now: Hits, level: float, groups: Rows | None) -> Check:
    only, only_champion = int((now & ~before).sum()), int((before & ~now).sum())
    p_value, remark = mcnemar_exact(only, only_champion, alternative="less"), ""
    if groups is not None:
        flips, differing = sign_flips(now.astype(int) - before, groups, alternative="less")
        few = f"; too few groups to tell, {FEWEST} needed" * (flips is None)
        p_value = 1.0 if flips is None else flips
        remark = f" by {differing:,} groups that differ{few}"
    found = f"right alone on {only} rows, champion on {only_champion}; worse with p = {p_value:.3g}"
    figures = {"only_challenger": only, "only_champion": only_champion, "worse_p_value": p_value}
    allowed = f"p at least {level:g}"
    return Check("paired_test", p_value >= level, found + remark, allowed, figures)


def against_all(
    hits: Hits,
    former: Mapping[str, Labels | None],
    champion: Champion,
    before: Hits | None,
    reference: Labels,
    params: PromoteParams,
    names: Sequence[str],
) -> Iterator[Check]:
    """No worse than the best champion so far, in total and per class: losses must not add up."""
    known = {version: right for version, right in former.items() if right is not None}
    unknown = ", ".join(version for version in former if version not in known)
    left_out = f" (left out, as they cannot answer: version {unknown})" if unknown else ""
    if champion and before is not None:
        known[champion.name] = right_by_class(before, reference)
    if (limit := params.max_sensitivity_loss) is not None:
        if known and (before is not None or not champion):
            yield _sensitivity_loss(known, hits, reference, limit, names)
        else:
            yield unpaired("max_sensitivity_loss", champion, left_out)
    if (limit := params.max_total_loss) is None:
        return
    if not known:
        yield unpaired("max_total_loss", None, left_out)
        return
    rights = {version: int(right.sum()) for version, right in known.items()}
    version = max(rights, key=rights.__getitem__)
    best, now = rights[version] / len(hits), float(hits.mean())
    found = f"{now:.4f} against {best:.4f} of version {version}, the best so far{left_out}"
    figures = {"holdout_accuracy": now, "best_accuracy": best}
    passed = rights[version] - int(hits.sum()) <= limit * len(hits) + 1e-9
    yield Check("max_total_loss", passed, found, f"a loss of at most {limit:g}", figures)


def _sensitivity_loss(
    known: Mapping[str, Labels], hits: Hits, reference: Labels, limit: float, names: Sequence[str]
) -> Check:
    """Of each class against the champion that was best in it, the present one among them."""
    rows, now = np.bincount(reference), right_by_class(hits, reference)
    with np.errstate(invalid="ignore"):  # a class without rows
        losses = (np.array([*known.values()]) - now) / rows
    worst, k = map(int, np.unravel_index(np.nanargmax(losses), losses.shape))
    version, loss = [*known][worst], float(losses[worst, k])
    found = f"class {names[k]}: {now[k] / rows[k]:.4f} against {known[version][k] / rows[k]:.4f}"
    found = f"{found} of {'version ' * version.isdecimal()}{version}"
    allowed = f"a loss of at most {limit:g} in any class, against the best so far in it"
    figures = {"worst_class": k, "worst_class_sensitivity_change": -loss}
    return Check("max_sensitivity_loss", loss <= limit + 1e-9, found, allowed, figures)


def origin(facts: Facts, params: PromoteParams) -> Iterator[Check]:
    if params.data_validated:
        found = facts.data_finding or f"data {facts.data_md5[:12]} passed"
        yield Check("data_validated", not facts.data_finding, found, "validation passed")
    if params.clean_commit:
        found, allowed = facts.commit_finding or facts.commit[:12], "a commit, no uncommitted code"
        yield Check("clean_commit", not facts.commit_finding, found, allowed)
