"""How a flow run starts and ends: as a program, on a worker, with an error; what its page shows."""

import sys
from collections.abc import Callable, Collection
from functools import wraps
from logging import LogRecord, getLogger
from pathlib import Path
from socket import gethostname
from typing import Any, NoReturn, ParamSpec

import typer
from httpx import TransportError
from prefect import get_run_logger, runtime, tags
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.exceptions import FailedRun
from prefect.states import Completed, Failed

from imageproof.artifacts import WORKSPACE
from imageproof.base.errors import ImageproofError
from imageproof.base.files import read_json
from imageproof.base.text import markdown
from imageproof.dvc import params_yaml
from imageproof.judge._leaderboard import Comparison, cells
from imageproof.judge.drift import Drift
from imageproof.prefect.server import ensure_server, no_answer
from imageproof.system import _process

# What a request to Prefect's server raises; the second is of a task whose flow run has tags.
SERVER_AWAY = (TransportError, ConcurrencySlotAcquisitionError)
P = ParamSpec("P")
Work = Callable[P, State[None]]


def run_as_program(flow: Callable[..., State[Any]]) -> NoReturn:
    """Run a flow with the command line's arguments, its parameters in their order, and exit: 0 if
    it completed, 1 if not, 4 without a server, 130 or 143.
    """

    def work() -> None:
        ensure_server()
        try:
            state = flow(*sys.argv[1:], return_state=True)
        except TransportError as error:
            raise no_answer(error) from None
        if not state.is_completed():
            sys.exit(1)

    _process.run_program(work)


def run_command_as_program(command: Callable[..., None]) -> NoReturn:
    """Run a command, whose parameters Typer reads from the command line, and exit."""
    app = typer.Typer(add_completion=False)
    app.command()(command)
    arguments = sys.argv[1:]
    _process.run_program(lambda: _process.run_command(typer.main.get_command(app), arguments))


def in_project(work: Work[P]) -> Work[P]:
    """Decorate the work of a flow, done in the project that is the current folder.

    An error that the user can mend becomes the message of a Failed state, without a traceback.
    """

    @wraps(work)
    def run(*args: P.args, **kwargs: P.kwargs) -> State[None]:
        _process.set_environment()
        for kind in ("flow", "task"):
            getLogger(f"prefect.{kind}_runs").addFilter(_is_new)
        get_run_logger().info("in %s on %s", Path.cwd(), gethostname())
        try:
            params_yaml.read()  # to fail first if there is no project
            with tags(*runtime.flow_run.tags):  # subflows are this project's, too
                return work(*args, **kwargs)
        except (ImageproofError, OSError) as error:
            return Failed(message=str(error))
        except SERVER_AWAY as error:
            return Failed(message=str(no_answer(error)))

    return run


def _is_new(record: LogRecord) -> bool:
    """A log filter: drop the traceback of what a message tells, of ours or of a run's state."""
    if record.exc_info and not record.exc_info[1]:  # of a task that returns its failure
        record.exc_info = None
    return not (record.exc_info and isinstance(record.exc_info[1], (FailedRun, *SERVER_AWAY)))


def show_table(
    project: str,
    rows: list[dict[str, Any]],
    name: str,
    description: str,
) -> None:
    """Create a table artifact of a project; the keys of the rows are its columns."""
    key = f"{project}-{name}".lower().replace("_", "-")
    create_table_artifact(rows, key=key, description=description)


def show_results(project: str, stages: Collection[str]) -> None:
    """Show the table of models, if a stage has compared them: else it is of former ones."""
    if WORKSPACE.compare.name in stages and WORKSPACE.comparison.exists():
        comparison = read_json(WORKSPACE.comparison, Comparison)
        rows = cells(comparison.models, comparison.baseline)
        show_table(project, rows, "results", "\n\n".join(map(markdown, comparison.verdicts)))


def show_monitoring(project: str, result: dict[str, Any]) -> State[None]:
    """Show what the command `monitor` says; returns the flow's state.

    With drift it is named Drifted, on which an automation can act.
    """
    # takes seconds, which other flows do not need
    from imageproof.answer._drift import drifted_names

    rows = f"{result['rows']:,} rows"
    heading = f"{rows} of {result['source']} by {result['model']}"
    unsure = f"{100 * result['unsure']:.2f} % of the answers are unsure."
    text = "\n\n".join([heading, *result["verdicts"], unsure, *result["warnings"]])
    show_table(project, result["drift"], "monitoring", text)
    drifted = drifted_names([Drift(**row) for row in result["drift"]])
    name = "Drifted" if result["drifted"] else None
    return Completed(name=name, message=f"{rows}; drifted: {drifted}")
