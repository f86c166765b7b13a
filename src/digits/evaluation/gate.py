"""Whether a challenger has earned the champion's place: each check with its figures."""

from collections.abc import Sequence

from digits.core.dataset import Labels
from digits.evaluation.gate_decision import (
    ANSWERS,
    APPROVAL,
    Candidate,
    Check,
    Decision,
    Facts,
    Former,
    PromoteParams,
)

__all__ = [
    "Candidate",
    "Check",
    "Decision",
    "Facts",
    "Former",
    "PromoteParams",
    "approval",
    "judge",
]

# scipy is imported by who judges only, not by who reads params.


def judge(
    challenger: Candidate,
    champion: Candidate | None,
    reference: Labels,
    facts: Facts,
    *,
    params: PromoteParams,
    former: Sequence[Former] = (),
) -> Decision:
    """Put a challenger through every check that is turned on.

    One whose answers cannot be judged is refused by that alone, whatever is turned on.
    `reference` int64 (n,), n at least 1, is the truth of the hold-out rows that both saw,
    and `former` are the champions before this one.
    """
    from digits.evaluation.gate_checks import against, in_total, on_its_own, origin

    of_answers = (
        [Check(ANSWERS, False, challenger.finding, "probabilities of its classes", {})]
        if challenger.finding
        else [
            *on_its_own(challenger, reference, facts, params),
            *against(challenger, champion, reference, params),
            *in_total(challenger, champion, former, reference, params),
        ]
    )
    checks = (*of_answers, *origin(facts, params))
    return Decision(challenger.name, champion.name if champion else None, checks)


def approval(approved_by: str, rejected_by: str) -> Check | None:
    """A person's word as one more check, None where nobody was asked."""
    if not approved_by and not rejected_by:
        return None
    found = f"rejected by {rejected_by}" if rejected_by else f"approved by {approved_by}"
    return Check(APPROVAL, not rejected_by, found, "a person's approval", {})
