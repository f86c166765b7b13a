"""How a flow starts, as a program or on a worker."""

import sys
from collections.abc import Callable
from logging import Logger, LoggerAdapter, LogRecord
from typing import Any, NoReturn, cast

from prefect import get_run_logger
from prefect.client.schemas.objects import State
from prefect.exceptions import FailedRun

from digits.core import process
from digits.core.errors import ServiceError
from flows.support.serving import ensure_server


def run(flow_run: Callable[[], State[Any]]) -> NoReturn:
    """Run the flow and exit: 0 if it completed, 1 if not, 4 if no Prefect server answers."""
    process.print_in_any_encoding()
    try:
        ensure_server()
        state = flow_run()
    except ServiceError as error:
        sys.exit(process.report(error))
    except RuntimeError as error:
        if "Failed to reach API" not in str(error):
            raise
        hint = "(PREFECT_API_URL says which server is asked)"
        sys.exit(process.report(ServiceError(f"Prefect: {error} {hint}")))
    sys.exit(0 if state.is_completed() else 1)


def no_traceback() -> None:
    """Let Prefect log none for a run that ends Failed: its message says what the user can mend."""
    cast(LoggerAdapter[Logger], get_run_logger()).logger.addFilter(_is_news)


def _is_news(record: LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], FailedRun))
