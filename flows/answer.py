"""Answer a paused `promote` flow run from a terminal; the form in Prefect's UI asks the same.

python flows/answer.py FLOW_RUN_ID approve --by NAME [--note TEXT]
"""

from typing import Annotated, Literal
from uuid import UUID

import typer
from prefect.exceptions import FlowPauseTimeout, NotPausedError, ObjectNotFound
from prefect.flow_runs import resume_flow_run

from digits.core import process
from digits.core.errors import UsageError
from flows.support.serving import ensure_server


def main(
    flow_run_id: UUID,
    answer: Literal["approve", "reject"],
    by: Annotated[str, typer.Option(help="Who answers.")],
    note: Annotated[str, typer.Option(help="Why; kept in the champion's history.")] = "",
) -> None:
    """Resume the flow run with this answer."""
    ensure_server()
    try:
        resume_flow_run(flow_run_id, {"approve": answer == "approve", "by": by, "note": note})
    except ObjectNotFound:
        raise UsageError(f"flow run {flow_run_id}: unknown to the Prefect server") from None
    except NotPausedError:
        raise UsageError(f"flow run {flow_run_id}: is not paused, so nothing is asked") from None
    except FlowPauseTimeout:
        raise UsageError(f"flow run {flow_run_id}: the time to answer is over") from None


if __name__ == "__main__":
    process.run(lambda: typer.run(main))
