"""How a flow run starts and ends: as a program, on a worker, with an error, or killed."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from logging import Logger, LoggerAdapter, LogRecord
from pathlib import Path
from signal import SIGINT
from socket import gethostname
from typing import Any, NoReturn, cast
from uuid import UUID

from filelock import FileLock, Timeout
from prefect import get_run_logger, runtime
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import State
from prefect.exceptions import FailedRun, ObjectNotFound
from prefect.states import Cancelled, Crashed, Failed

from digits import params
from digits.core import checkout, process, system
from digits.core.errors import DigitsError, ServiceError
from flows.support.forms import VERSION
from flows.support.server import ensure_server, no_answer

KILLED = "its process was killed"


def run_as_program(flow_run: Callable[[], State[Any]]) -> NoReturn:
    """Run a flow and exit: 0 if it completed, 1 if not, 130 after Ctrl-C.

    The exit code is 4 if Prefect's server does not answer, at the start or at the end, or an extra
    of this package is not installed.
    """
    process.print_in_any_encoding()
    logging.raiseExceptions = False  # lines of the log that a server misses are no error
    try:
        ensure_server()
        state = flow_run()
    except (ServiceError, ModuleNotFoundError) as error:
        sys.exit(process.report_error(error))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(128 + SIGINT)
    except Exception as error:
        if (told := no_answer(error)) is None:
            raise
        sys.exit(process.report_error(told))
    sys.exit(0 if state.is_completed() else 1)


def run_in_project(
    work: Callable[[], State[None]],
    *,
    on_error: Callable[[str], State[None]] = lambda message: Failed(message=message),
) -> State[None]:
    """Do the work of a flow run in the project that is the current folder, and log which code runs.

    It ends with its worker. An error that the user can mend becomes the message of the state that
    `on_error` gives, without a traceback in the log.
    """
    cast(LoggerAdapter[Logger], get_run_logger()).logger.addFilter(_without_traceback)
    process.set_environment()
    if process.flow_run():  # a worker started it, and nobody else reads its log
        system.die_with_parent()
        get_run_logger().info("commit %s in %s on %s", VERSION, Path.cwd(), gethostname())
    try:
        params.load()  # fails first if this is no project
        with _locked_while_alive(str(runtime.flow_run.id)):
            return work()
    except DigitsError as error:
        return on_error(str(error))
    except ModuleNotFoundError as error:
        if (message := process.missing_extra(error)) is None:
            raise
        return on_error(message)


def _without_traceback(record: LogRecord) -> bool:
    """A log filter: drop what the state's message repeats, and tracebacks of a server's outage."""
    error = record.exc_info[1] if record.exc_info else None
    if no_answer(error):
        record.exc_info = None
    return not isinstance(error, FailedRun)


@contextmanager
def _locked_while_alive(flow_run_id: str) -> Iterator[None]:
    """Hold a lock while this flow run works; mark runs as ended if no process holds their lock.

    The locks are those of all runs in this folder; on a worker, of all its runs.
    """
    folder = checkout.home() / ".state/flow-runs"
    folder.mkdir(parents=True, exist_ok=True)
    own = FileLock(folder / f"{flow_run_id}.lock")
    with FileLock(
        folder / "all"
    ):  # else another run could mark this one Crashed before it holds its lock
        for path in folder.glob("*.lock"):
            with suppress(Timeout), FileLock(path, timeout=0):
                _mark_ended(UUID(path.stem))
                path.unlink(missing_ok=True)
        held = own.acquire()
    with held:
        yield
    Path(own.lock_file).unlink(missing_ok=True)


def _mark_ended(flow_run_id: UUID) -> None:
    only = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
    with suppress(ObjectNotFound), get_client(sync_client=True) as client:  # of another server
        flow_run = client.read_flow_run(flow_run_id)
        cancelling = flow_run.state is not None and flow_run.state.is_cancelling()
        ended: State[None] = (Cancelled if cancelling else Crashed)(message=KILLED)
        for task_run in client.read_task_runs(flow_run_filter=only):
            state = task_run.state
            if state is not None and not state.is_final() and state.name != "NotReady":
                client.set_task_run_state(task_run.id, ended, force=True)
        # the worker may have set a final state
        if flow_run.state is None or not flow_run.state.is_final():
            client.set_flow_run_state(flow_run_id, ended, force=True)
