"""Run with DVC the stages that changed, and show how far they are."""

import os
import signal
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from digits.core import pipeline
from digits.core.commands import CommandFailedError, Commands
from digits.core.errors import BusyError, DigitsError, ServiceError
from digits.params import Params
from digits.running import durations
from digits.running.progress import Board
from digits.running.schedule import Schedule, may_change

# How DVC says that the command of a stage need not run.
NOT_RUN = {"didn't change, skipping": "unchanged", "is cached - skipping run": "from cache"}
HIDDEN = (*pipeline.DVC_SAYS, *pipeline.DVC_HINTS, "Stage '")
POLL_S = 0.2  # for signals, which only the main thread gets


def run_pipeline(root: Path, params: Params) -> set[str]:
    """Run with DVC what changed in the project; returns the names of the stages that ran.

    Raises:
        DataError: the data is not what data.dvc names.
        BusyError: another DVC command, a flow or another `digits run` works in this folder.
        DigitsError: a stage failed; its errors and its exit code.
    """
    try:
        lock = FileLock(root / pipeline.PROJECT_LOCK).acquire(timeout=0)
    except Timeout:
        what = "a flow or another `digits run` works in this folder; try again when it has ended"
        raise BusyError(f"{root}: {what}") from None
    with lock:
        pipeline.check_sources(root)
        stages = may_change(pipeline.read_pipeline(root))
        if not stages:
            return set()
        schedule = Schedule(stages, params.train.threads)
        guesses = {stage.name: durations.guess(stage.name, params) for stage in stages}
        board = Board(schedule, guesses)
        try:
            with board:
                _run_all(schedule, board)
        finally:
            with suppress(OSError):  # must not hide why a stage failed
                durations.record(board.seconds(), params)
    return set(board.seconds())


def _run_all(schedule: Schedule, board: Board) -> None:
    """Run all stages. When one has failed no other starts; those that run come to their end."""
    running: dict[str, Future[str]] = {}
    done: set[str] = set()
    failures: list[DigitsError] = []
    commands = Commands()
    with ThreadPoolExecutor() as pool:
        try:
            while True:
                for name in [] if failures else schedule.startable(running, done):
                    board.start(name)
                    running[name] = pool.submit(_reproduce, name, commands, board)
                if not running:
                    break
                wait(running.values(), POLL_S, FIRST_COMPLETED)
                for name in [name for name, future in running.items() if future.done()]:
                    try:
                        board.end(name, running.pop(name).result())
                        done.add(name)
                    except DigitsError as error:
                        board.end(name, "failed")
                        failures.append(error)
        finally:
            # a second Ctrl-C must not spare a stage that ignores SIGTERM
            handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
            commands.stop()
            signal.signal(signal.SIGINT, handler)
    if failures:
        not_done = [stage.name for stage in schedule.stages if stage.name not in done]
        findings = [finding for failure in failures for finding in failure.findings]
        findings.append(f"not done: {', '.join(not_done)}")
        raise _failed(failures[0].exit_code, *findings)


def _reproduce(name: str, commands: Commands, board: Board) -> str:
    """`dvc repro` one stage; returns how it ended.

    Raises:
        DigitsError: its command failed, or DVC.
    """
    errors: list[str] = []

    def on_line(line: str) -> None:
        if line.startswith("error: "):
            errors.append(f"{name}: {line.removeprefix('error: ')}")
        elif line and not line.startswith(HIDDEN):
            board.line(name, line)

    command = [*pipeline.DVC, "repro", "--single-item", name]
    try:
        lines = commands.run(command, on_line=on_line, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    except CommandFailedError as error:
        code = pipeline.stage_exit_code(error)
        if any(" is busy, it is being blocked by" in line for line in error.lines):
            code = BusyError.exit_code
        elif code == error.code:  # DVC's own, 255 for nearly everything
            code = ServiceError.exit_code
        said = errors or [f"{name}: {line}" for line in pipeline.last_lines(error.lines)]
        raise _failed(code if code > 0 else 128 - code, *said) from None
    return next((NOT_RUN[words] for words in NOT_RUN if words in "\n".join(lines)), "done")


def _failed(exit_code: int, *findings: str) -> DigitsError:
    error = DigitsError(*findings)
    error.exit_code = exit_code
    return error
