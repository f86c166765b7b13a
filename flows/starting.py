"""How a flow starts as a program, without a worker."""

import sys
from collections.abc import Callable
from typing import Any, NoReturn

from prefect.client.schemas.objects import State

from digits import process
from digits.errors import ServiceError


def run(flow_run: Callable[[], State[Any]]) -> NoReturn:
    """Run the flow and exit: 0 if it completed, 1 if not, 4 if no Prefect server answers."""
    try:
        state = flow_run()
    except RuntimeError as error:
        if "Failed to reach API" not in str(error):
            raise
        hint = "(PREFECT_API_URL says which server is asked)"
        sys.exit(process.report(ServiceError(f"Prefect: {error} {hint}")))
    sys.exit(0 if state.is_completed() else 1)
