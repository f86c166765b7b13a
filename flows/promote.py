"""The `promote` flow: the gate's checks, a person's approval, and then the decision."""

from typing import Annotated, Any, Literal

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from pydantic import Field

from flows.answer import ask_a_person
from flows.support import lifecycle
from flows.support.commands import REFUSED, run_digits
from flows.support.pages import VERSION, Model, show_table

ALREADY_CHAMPION = "AlreadyChampion"


@flow(name="promote", version=VERSION)
def promote(
    model: Model,
    approval: Literal["required", "none"] = "required",
    timeout_s: Annotated[int, Field(ge=1)] = 24 * 3600,
    reason: str = "",
) -> State[None]:
    """Put the last training of a model to the gate, ask a person, and promote or refuse.

    Args:
        model: Whose last training is judged.
        approval: Whether a person must agree to what the gate accepts.
        timeout_s: Seconds that a person has; no answer is a rejection.
        reason: Why; kept in the champion's history.
    """
    return lifecycle.run_in_project(lambda: _promote(model, approval, timeout_s, reason))


def _promote(model: str, approval: str, timeout_s: int, reason: str) -> State[None]:
    candidate, answer = [model], list[str]()
    if approval == "required":
        gate = run_digits("promote", model, "--dry-run", allowed=(0, REFUSED))
        # what is promoted is what was approved, even if the model is trained again meanwhile
        candidate = ["--run", gate["run_id"]]
        answer, note = _approval(gate, model, timeout_s)
        reason = " · ".join(filter(None, [reason, note]))
    outcome = run_digits("promote", *candidate, "--reason", reason, *answer, allowed=(0, REFUSED))
    _show(outcome, f"decision-{model}")
    if not outcome["accepted"]:
        checks = [check for check in outcome["decision"]["checks"] if not check["passed"]]
        failed = ", ".join(f"{check['name']} ({check['found']})" for check in checks)
        return Failed(name="Refused", message=f"refused by {failed}; nothing moved")
    if not outcome["moved"]:
        return Completed(name=ALREADY_CHAMPION, message=f"version {outcome['version']}")
    return Completed(name="Promoted", message=f"version {outcome['version']} is champion")


def _approval(gate: dict[str, Any], model: str, timeout_s: int) -> tuple[list[str], str]:
    """The options that tell `digits promote` a person's answer, and a note for the history.

    A person is asked only about what the gate accepts. What it refuses is rejected here already:
    a second run of the gate might accept it, and nobody would have approved.
    """
    _show(gate, f"gate-{model}")
    if not gate["accepted"]:
        return ["--rejected-by", "the gate"], ""
    if not (decision := gate["decision"]):
        return [], ""
    place = f"in place of version {decision['champion']}" if decision["champion"] else "the first"
    question = f"Make **{model}** ({decision['challenger']}) champion, {place}?"
    hint = "Submitting with the switch off rejects it. Every check of the gate is passed:"
    texts = ((c["name"], filter(None, (c["found"], c["allowed"]))) for c in decision["checks"])
    checks = [f"- {name}: {', '.join(text)}" for name, text in texts]
    return ask_a_person("\n".join([question, hint, "", *checks]), timeout_s)


def _show(outcome: dict[str, Any], name: str) -> None:
    """The gate's checks as an artifact; there are none if the model is champion already."""
    if decision := outcome["decision"]:
        against = f"version {decision['champion']}" if decision["champion"] else "no champion"
        show_table(decision["checks"], name, f"{decision['challenger']} against {against}")
