"""The `promote` flow: the gate's table, a person's word, and then the decision."""

from datetime import timedelta
from typing import Annotated, Any, Literal

from prefect import flow, get_run_logger, pause_flow_run, runtime
from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import FlowPauseTimeout
from prefect.input import RunInput
from prefect.states import Completed, Failed, Running
from pydantic import Field

from digits import params
from digits.core.errors import DigitsError
from flows.support import starting
from flows.support.abandoned import never_forgotten
from flows.support.asking import REFUSED, ask

ALREADY_CHAMPION = "AlreadyChampion"


class Approval(RunInput):
    """What a person is asked in Prefect's UI before a champion is replaced."""

    approve: bool = False
    by: str = ""
    note: str = ""


@flow(name="promote")
def promote(
    model: str = "cnn",
    approval: Literal["required", "none"] = "required",
    timeout_s: Annotated[int, Field(ge=1)] = 24 * 3600,
    reason: str = "",
) -> State[None]:
    """Put the last training of a model to the gate, ask a person, and promote or refuse.

    Args:
        model: Its name in params.yaml.
        approval: Whether a person must agree to what the gate accepts.
        timeout_s: Seconds that a person has; no answer is a rejection.
        reason: Why; kept in the champion's history.
    """
    starting.no_traceback()
    try:
        params.load()  # first to find that this is no project
        with never_forgotten():
            return _promote(model, approval, timeout_s, reason)
    except DigitsError as error:
        return Failed(message=str(error))


def _promote(model: str, approval: str, timeout_s: int, reason: str) -> State[None]:
    chosen, said = [model], list[str]()
    if approval == "required":
        judged = ask("promote", model, "--dry-run", allowed=(0, REFUSED))
        # what is promoted is what was approved, though the model be trained again meanwhile
        chosen = ["--run", judged["run_id"]]
        said, note = _word(judged, model, timeout_s)
        reason = " · ".join(filter(None, [reason, note]))
    outcome = ask("promote", *chosen, "--reason", reason, *said, allowed=(0, REFUSED))
    create_markdown_artifact(markdown(outcome), key=f"decision-{model}")
    if not outcome["accepted"]:
        checks = [check for check in outcome["decision"]["checks"] if not check["passed"]]
        failed = ", ".join(f"{check['name']} ({check['found']})" for check in checks)
        return Failed(name="Refused", message=f"refused by {failed}; nothing moved")
    if not outcome["moved"]:
        return Completed(name=ALREADY_CHAMPION, message=f"version {outcome['version']}")
    return Completed(name="Promoted", message=f"version {outcome['version']} is champion")


def _word(judged: dict[str, Any], model: str, timeout_s: int) -> tuple[list[str], str]:
    """What to tell `digits promote` besides, and a note for the history.

    A person is asked only about what the gate lets pass. What it does not is rejected here
    already: judged once more it might pass, which nobody has approved.
    """
    table = markdown(judged)
    create_markdown_artifact(table, key=f"gate-{model}", description=f"The gate on {model}")
    if not judged["accepted"]:
        return ["--rejected-by", "the gate"], ""
    return _ask_a_person(_question(judged, model), timeout_s) if judged["decision"] else ([], "")


def _question(judged: dict[str, Any], model: str) -> str:
    """What the form asks: a list, because it is too narrow for a table and does not scroll."""
    decision = judged["decision"]
    place = f"in place of version {decision['champion']}" if decision["champion"] else "the first"
    checks = [
        f"- {check['name']}: {check['found']}" + f" ({check['allowed']})" * bool(check["allowed"])
        for check in decision["checks"]
    ]
    return "\n".join(
        [
            f"Make **{model}** ({decision['challenger']}) champion, {place}?",
            "Submitting with the switch off rejects it. Every check of the gate is passed:",
            "",
            *checks,
        ]
    )


def _ask_a_person(question: str, timeout_s: int) -> tuple[list[str], str]:
    """What to tell `digits promote` of the answer, and the note that came with it."""
    asked = Approval.with_initial_data(description=question)
    try:
        answer = pause_flow_run(wait_for_input=asked, timeout=timeout_s, poll_interval=2)
    except FlowPauseTimeout:
        note = f"no answer within {timedelta(seconds=timeout_s)}"
        get_run_logger().warning("%s: rejected", note)
        _leave_the_pause()
        return ["--rejected-by", "timeout"], note
    option = "--approved-by" if answer.approve else "--rejected-by"
    return [option, answer.by or "somebody"], answer.note


def _leave_the_pause() -> None:
    """Run on: whatever else follows a pause that timed out, Prefect ends it in its own words."""
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(runtime.flow_run.id, Running(), force=True)


def markdown(outcome: dict[str, Any]) -> str:
    """The gate's table."""
    decision = outcome["decision"]
    if decision is None:
        return f"version {outcome['version']} is the champion already"
    against = f"champion version {decision['champion']}" if decision["champion"] else "no champion"
    lines = [f"**{decision['challenger']}** against {against}", ""]
    lines += ["| check | | found | allowed |", "| --- | --- | --- | --- |"]
    for check in decision["checks"]:
        verdict = "ok" if check["passed"] else "**no**"
        lines.append(f"| {check['name']} | {verdict} | {check['found']} | {check['allowed']} |")
    return "\n".join(lines)
