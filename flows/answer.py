"""Answer a paused `promote` flow run from a terminal; the form in Prefect's UI asks the same.

python flows/answer.py FLOW_RUN_ID approve --by NAME [--note TEXT]
"""

from typing import Annotated, Literal
from uuid import UUID

import typer
from prefect.flow_runs import resume_flow_run


def main(
    flow_run_id: UUID,
    answer: Literal["approve", "reject"],
    by: Annotated[str, typer.Option(help="Who answers.")],
    note: Annotated[str, typer.Option(help="Why; kept in the champion's history.")] = "",
) -> None:
    """Resume the flow run with this answer."""
    resume_flow_run(flow_run_id, {"approve": answer == "approve", "by": by, "note": note})


if __name__ == "__main__":
    typer.run(main)
