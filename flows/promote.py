"""The `promote` flow: the gate's checks, a person's approval, and then the decision."""

from typing import Annotated, Any, Literal

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from pydantic import Field

import own_code as own_code
from answer import ask_a_person
from digits.project import load_project
from imageproof.base import errors, text
from imageproof.judge import gate
from imageproof.prefect import commands, lifecycle

# The names of its final states.
PROMOTED = "Promoted"
REFUSED = "Refused"
UNDECIDED = "Undecided"  # another run may decide
TOO_FEW_ROWS = "TooFewRows"  # the gate is undecided, until there are more rows
ALREADY_CHAMPION = "AlreadyChampion"

ANSWERED = (0, errors.GateRefusedError.exit_code)


@flow(name="promote", flow_run_name="promote {model}")
@lifecycle.in_project
def promote(
    model: str,
    approval: Literal["required", "none"] = "required",
    timeout_s: Annotated[int, Field(ge=1)] = 24 * 3600,
    reason: str = "",
) -> State[None]:
    """Let the gate judge the last training of a model, ask a person, and promote or refuse.

    Args:
        model: The model whose last training is judged.
        approval: Whether a person must agree to what the gate accepts.
        timeout_s: Seconds that a person has; no answer is a rejection.
        reason: Why; kept in the champion's history.
    """
    try:
        outcome = _decide(model, approval, timeout_s, reason)
    except errors.BusyError as error:  # such as a latency that could not be measured
        command = f"prefect deployment run promote/{load_project().part('promote')}"
        command += f" --param model={model} --param approval={approval}"
        message = f"undecided, nothing moved: {error}; `{command}` judges it again"
        return Failed(name=UNDECIDED, message=message)
    _show(outcome, model)
    if not outcome["accepted"]:
        checks = [check for check in outcome["decision"]["checks"] if not check["passed"]]
        failed = ", ".join(f"{check['name']} ({check['found']})" for check in checks)
        name = REFUSED
        cure = ""
        if outcome["verdict"] != "refused":
            # that the gate refused when it was asked first is no lack of rows
            name = UNDECIDED if checks[-1]["name"] == gate.APPROVAL else TOO_FEW_ROWS
            cure = f"; {outcome['decision']['note']}"
        message = f"{outcome['verdict']} by {failed}{cure}; nothing moved"
        return Failed(name=name, message=message)
    name = PROMOTED if outcome["moved"] else ALREADY_CHAMPION
    return Completed(name=name, message=f"version {outcome['version']} is champion")


def _decide(model: str, approval: str, timeout_s: int, reason: str) -> Any:
    """What `digits promote` says of the model, after a person has agreed where that is required."""
    candidate = [model]
    options: dict[str, str] = {}
    note = ""
    if approval == "required":
        judged = commands.run_command("promote", model, dry_run=True, allowed=ANSWERED)
        # what is promoted is what was approved, even if the model is trained again meanwhile
        candidate = []
        options["run"] = judged["run_id"]
        if not judged["accepted"]:  # a second run of the gate might accept it, and nobody approved
            options["rejected_by"] = gate.GATE
        elif decision := judged["decision"]:
            answer, note = ask_a_person(_question(model, decision), timeout_s)
            options |= answer
            if "approved_by" in answer:
                _check_champion(judged)
    options["reason"] = " · ".join(filter(None, [reason, note]))
    return commands.run_command("promote", *candidate, allowed=ANSWERED, **options)


def _check_champion(judged: Any) -> None:
    """A BusyError if another version became champion than the one that the question named."""
    run_id = judged["run_id"]
    again = commands.run_command("promote", run=run_id, dry_run=True, allowed=ANSWERED)
    if again["champion"] != judged["champion"]:
        champion = judged["champion"] or "none"
        raise errors.BusyError(f"version {again['champion']} is champion now, not {champion}")


def _question(model: str, decision: dict[str, Any]) -> str:
    place = f"in place of version {decision['champion']}" if decision["champion"] else "the first"
    question = f"Make **{model}** ({decision['challenger']}) champion, {place}?"
    hint = "Submitting with the switch off rejects it. Every check of the gate is passed"
    hint += f"; {decision['note']}." if decision.get("note") else "."
    table = ["| name | found | allowed |", "|---|---|---|"]
    for check in decision["checks"]:
        cells = (check["name"], text.markdown(check["found"]), text.markdown(check["allowed"]))
        table.append(f"| {' | '.join(cells)} |")
    return "\n".join([question, hint, "", *table])  # Prefect's page renders Markdown


def _show(outcome: dict[str, Any], model: str) -> None:
    """The gate's checks as an artifact; there are none if the model is champion already."""
    if decision := outcome["decision"]:
        against = f"version {decision['champion']}" if decision["champion"] else "no champion"
        title = f"{decision['challenger']} against {against}: **{outcome['verdict']}**"
        lifecycle.show_table(load_project().name, decision["checks"], f"decision-{model}", title)


if __name__ == "__main__":
    lifecycle.run_as_program(promote)
