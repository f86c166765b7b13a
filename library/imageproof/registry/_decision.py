"""The decision of the promotion gate: every check that is turned on, on rows that nobody has seen.

A model is better on rows that it was trained or chosen on. So the challenger is judged on hold-out
rows that it has not seen, and compared on those that the champion has not seen either.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from imageproof.base.errors import DataError
from imageproof.judge.gate import APPROVAL, Check, Compared, Contender, Decision, Evidence, Rule
from imageproof.judge.limits import PromoteParams
from imageproof.judge.scores import numbers
from imageproof.registry._absolute_checks import ABSOLUTE_CHECKS
from imageproof.registry._champion_checks import CHAMPION_CHECKS


def decide(
    evidence: Evidence, params: PromoteParams, own: Sequence[tuple[Rule, Any]] = ()
) -> Decision:
    """Apply every check that is turned on.

    Checks of the project's `own`, each with its limit, judge the rows that the challenger has not
    seen; one whose limit is None is off. A DataError if one, or a figure, is called as another. A
    challenger with unusable predictions fails the check `answers`, whatever is on.
    """
    challenger = evidence.challenger
    champion = evidence.champion.name if evidence.champion else None
    decision = Decision(challenger.title, champion, ())
    by_key = dict(evidence.facts)
    checks: list[Check] = []
    if answers := challenger.finding or evidence.asked:
        allowed = "the same probabilities however it is asked"
        checks = [Check("answers", not challenger.finding, answers, allowed)]
    own_checks: list[Check] = []
    if not challenger.finding:
        alone = evidence.take(challenger.unseen)
        pair = evidence.take(*(model.unseen for model in _models(evidence)))
        minimum = params.min_unseen or 1
        unseen = _min_unseen(pair, evidence, minimum)
        if params.min_unseen or not unseen.passed:
            by_key["min_unseen"] = unseen
        if len(alone.labels) >= minimum:
            by_key |= _judge(ABSOLUTE_CHECKS, alone, params)
            own_checks = [_own(rule(alone, limit)) for rule, limit in own if limit is not None]
        if unseen.passed:
            by_key |= _judge(CHAMPION_CHECKS, pair, params)
        decision = replace(
            decision,
            compared=tuple(_compared(alone, pair)),
            right=tuple(alone.by_class(alone.hits).tolist()),
            note=_note(pair),
        )
    checks += [by_key[key] for key, _ in params if key in by_key]  # in the order of params.yaml
    checks += own_checks
    approval = evidence.facts.get(APPROVAL)
    # where nobody was asked, the other checks are the reasons, if there are any
    if approval and (not approval.undecided or all(check.passed for check in checks)):
        checks.append(approval)
    names = Counter(check.name for check in checks)
    figures = Counter(figure for check in checks for figure in check.figures)
    if twice := [name for name, count in [*names.items(), *figures.items()] if count > 1]:
        raise DataError(f"{twice[0]}: two checks of the gate, or figures of them, have this name")
    return replace(decision, checks=tuple(checks))


def _judge(
    rules: Mapping[str, Rule],
    view: Evidence,
    params: PromoteParams,
) -> dict[str, Check]:
    """The checks whose limit is on, by key."""
    return {
        key: rules[key](view, limit) for key, limit in params if key in rules and limit is not None
    }


def _own(check: Check) -> Check:
    """A project's own check with Python's numbers in place of NumPy's, which no record takes."""
    return replace(check, passed=bool(check.passed), figures=numbers(check.figures))


def _models(evidence: Evidence) -> list[Contender]:
    """The challenger, and the champion if it can answer."""
    models = (evidence.challenger, evidence.champion)
    return [model for model in models if model and not model.finding]


def _min_unseen(pair: Evidence, evidence: Evidence, minimum: int) -> Check:
    """Whether so many rows are unseen by both models; of a model's unknown past none is unseen."""
    models = _models(evidence)
    rows = len(pair.labels)
    names = " and ".join(model.title for model in models)
    text = f"{rows:,} of {len(evidence.labels):,} hold-out rows are unseen by {names}"
    unknown = [model.title for model in models if model.unseen is None]
    if unknown:
        text = f"the rows that {' and '.join(unknown)} has seen are unknown: none counts as unseen"
    text += _apart(pair)
    is_enough = rows >= minimum
    allowed = f"at least {minimum:,}"
    figures: dict[str, float] = {"unseen_rows": rows}
    return Check("min_unseen", is_enough, text, allowed, figures, undecided=not is_enough)


def _apart(pair: Evidence) -> str:
    """The results on rows of the champion's data, and on newer ones, if there are such rows."""
    words = ""
    older = pair.champion.older if pair.champion else None
    if older is None or pair.champion_hits is None or older.all():
        return words
    for age, rows in (("older", older), ("newer", ~older)):
        if rows.any():
            words += (
                f"; rows {age} than the champion: {rows.sum():,}, "
                f"{pair.hits[rows].mean():.4f} right against {pair.champion_hits[rows].mean():.4f}"
            )
    return words


def _compared(alone: Evidence, pair: Evidence) -> Iterator[Compared]:
    """The challenger alone, beside the champion, and beside each earlier one."""
    challenger = alone.challenger.title
    yield Compared((challenger,), len(alone.labels), alone.hashes_md5)
    for champion in _models(pair)[1:]:
        yield Compared((challenger, champion.name), len(pair.labels), pair.hashes_md5)
    for version, answers in pair.former.items():
        yield Compared((challenger, version), int(answers.rows.sum()), answers.md5)


def _note(pair: Evidence) -> str:
    """What speaks against a challenger, or against the comparison, though no check refuses it."""
    if pair.champion is None or pair.champion_hits is None or not len(pair.labels):
        return ""
    notes = []
    accuracy = pair.hits.mean()
    champion_accuracy = pair.champion_hits.mean()
    if accuracy <= champion_accuracy:
        shares = f"right on {accuracy:.4f} of the hold-out rows against {champion_accuracy:.4f}"
        notes.append(f"not better than the champion: {shares}")
    fit, champion_fit = pair.challenger.fit, pair.champion.fit
    if fit != champion_fit:
        finding = f"the champion was trained on pictures with fit: {champion_fit}"
        notes.append(f"{finding}, and asked for those with fit: {fit}, so it may be better")
    return "; ".join(notes)
