"""How a flow run starts and ends: as a program, on a worker, or with an error."""

import sys
from collections.abc import Callable
from logging import Logger, LoggerAdapter, LogRecord
from pathlib import Path
from socket import gethostname
from typing import Any, NoReturn, cast

from prefect import get_run_logger
from prefect.client.schemas.objects import State
from prefect.exceptions import FailedRun
from prefect.states import Failed

from digits import params
from digits.core import process
from digits.core.errors import DigitsError
from flows.support.pages import VERSION
from flows.support.server import ensure_server


def run_as_program(flow_run: Callable[[], State[Any]]) -> NoReturn:
    """Run a flow and exit: 0 if it completed, 1 if not, 4 without a server, 130 or 143."""

    def work() -> None:
        ensure_server()
        if not flow_run().is_completed():
            sys.exit(1)

    process.run_program(work)


def run_in_project(
    work: Callable[[], State[None]], *, on_error: Callable[[str], State[None]] | None = None
) -> State[None]:
    """Do the work of a flow run in the project that is the current folder.

    An error that the user can mend becomes the message of a Failed state, or of the one that
    `on_error` gives, without a traceback in the log.
    """
    process.set_environment()
    cast(LoggerAdapter[Logger], get_run_logger()).logger.addFilter(_is_new)
    get_run_logger().info("code %s in %s on %s", VERSION, Path.cwd(), gethostname())
    try:
        params.load()  # fails first if this is no project
        return work()
    except DigitsError as error:
        message = str(error)
    return on_error(message) if on_error else Failed(message=message)


def _is_new(record: LogRecord) -> bool:
    """A log filter: drop the traceback of a failed run, whose state's message has told why."""
    return not (record.exc_info and isinstance(record.exc_info[1], FailedRun))
