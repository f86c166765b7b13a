"""Ask a person about a promotion, and answer: in Prefect's form, or from a terminal with

python flows/answer.py FLOW_RUN_ID approve --by NAME [--note TEXT]
"""

from typing import Annotated, Literal
from uuid import UUID

import typer
from prefect import get_run_logger, pause_flow_run, runtime
from prefect.exceptions import FlowPauseTimeout, NotPausedError, ObjectNotFound
from prefect.flow_runs import resume_flow_run
from prefect.input import RunInput
from pydantic import Field

import own_code as own_code
from imageproof.base import errors
from imageproof.prefect import lifecycle, server


class Approval(RunInput):
    """The form in Prefect's UI: whether to replace the champion."""

    approve: bool = False
    by: Annotated[str, Field(pattern=r"\S", description="Who answers.")]
    note: str = ""


def ask_a_person(question: str, timeout_s: int) -> tuple[dict[str, str], str]:
    """Pause the flow run until somebody answers; without an answer in `timeout_s` s, it fails.

    Returns the options that tell `digits promote` the answer, and the note that came with it.
    """
    command = f"python flows/answer.py {runtime.flow_run.id} approve --by NAME"
    hint = f"Or type `{command}` (or `reject`) in the project's folder."
    summary = question.partition("\n\n")[0].replace("**", "")  # without the table
    get_run_logger().info("%s\nResume on this page asks. %s", summary, hint)
    question += f"\n\n{hint}"
    form = Approval.with_initial_data(description=question)
    try:
        answer = pause_flow_run(wait_for_input=form, timeout=timeout_s, poll_interval=2)
    except FlowPauseTimeout:
        get_run_logger().error("no answer within %s s; nothing moved", timeout_s)
        # Prefect replaces it by a message of its own
        raise errors.ImageproofError("no answer") from None
    option = "approved_by" if answer.approve else "rejected_by"
    return {option: answer.by}, answer.note


def main(
    flow_run_id: UUID,
    answer: Literal["approve", "reject"],
    by: Annotated[str, typer.Option(help="Who answers.")],
    note: Annotated[str, typer.Option(help="Why; kept in the champion's history.")] = "",
) -> None:
    """Resume the flow run with this answer."""
    if not by.strip():
        raise errors.UsageError("--by: is empty; who answers is needed")
    server.ensure_server()
    try:
        resume_flow_run(flow_run_id, {"approve": answer == "approve", "by": by, "note": note})
    except (ObjectNotFound, NotPausedError, FlowPauseTimeout):
        hint = "waits for no answer; Prefect's page lists what is Paused"
        raise errors.UsageError(f"flow run {flow_run_id}: {hint}") from None
    print(f"{answer} by {by}: flow run {flow_run_id} goes on, if its process is alive")


if __name__ == "__main__":
    lifecycle.run_command_as_program(main)
