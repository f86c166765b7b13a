"""The decision of the promotion gate: every check that is turned on, in the order of its keys."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from imageproof.judge.few_rows import OF_ALL, fewest, rows_needed
from imageproof.judge.gate import Check, Decision, Evidence, PromoteParams
from imageproof.registry.absolute_checks import ABSOLUTE_CHECKS, ORIGIN_CHECKS
from imageproof.registry.champion_checks import CHAMPION_CHECKS, HISTORY_CHECKS

MODEL_CHECKS = {**ABSOLUTE_CHECKS, **CHAMPION_CHECKS, **HISTORY_CHECKS}


def decide(evidence: Evidence, params: PromoteParams) -> Decision:
    """Apply every check that is turned on.

    A challenger with unusable predictions fails the check `answers`, whatever is on.
    """
    champion = evidence.champion.name if evidence.champion else None
    usable = not evidence.challenger.finding
    checks = [*_answers(evidence)]
    for key in PromoteParams.model_fields:
        check = ORIGIN_CHECKS.get(key) or (usable and MODEL_CHECKS[key])
        limit = getattr(params, key)
        if check and limit is not None:
            checks.append(check(evidence, limit))
    if usable:
        checks = [_remarked(check, evidence, params) for check in checks]
    if evidence.approval:
        checks.append(evidence.approval)
    right = evidence.by_class(evidence.hits).tolist() if usable else ()
    note = _note(evidence) if usable else ""
    name = evidence.challenger.name
    return Decision(name, champion, (*checks,), evidence.rows_md5, (*right,), note)


def _answers(evidence: Evidence) -> Iterator[Check]:
    finding = evidence.challenger.finding
    if finding or evidence.asked:
        text = finding or evidence.asked
        yield Check("answers", not finding, text, "the same probabilities however it is asked")


def _note(evidence: Evidence) -> str:
    if evidence.champion_hits is None:
        return ""
    accuracy = evidence.hits.mean()
    champion_accuracy = evidence.champion_hits.mean()
    if accuracy > champion_accuracy:
        return ""
    shares = f"right on {accuracy:.4f} of the hold-out rows against {champion_accuracy:.4f}"
    return f"not better than the champion: {shares}"


def _remarked(check: Check, evidence: Evidence, params: PromoteParams) -> Check:
    """The check, which says so if it judges by too few rows."""
    counts = np.bincount(evidence.labels, minlength=len(evidence.names)).tolist()
    needed = rows_needed(params, counts).get(check.name)
    if not needed or not check.figures:
        return check
    rows = f"{sum(counts):,}" if check.name in OF_ALL else fewest(counts, evidence.names)
    remark = f"; rows too few to tell: {rows}, {needed:,} needed"
    return replace(check, found=check.found + remark)
