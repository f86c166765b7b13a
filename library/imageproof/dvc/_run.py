"""Run with DVC the stages that changed, and show how far they are."""

import os
import sys
from collections.abc import Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import NamedTuple

import psutil
from filelock import FileLock, Timeout
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn
from rich.table import Column

from imageproof.base import _machine
from imageproof.base._naming import project_name
from imageproof.base.errors import BusyError, ImageproofError
from imageproof.dvc import _pipeline
from imageproof.dvc._pipeline import Stage
from imageproof.dvc._repro import reproduce
from imageproof.system._commands import Commands


def run_pipeline(root: Path, names: Sequence[str] = (), *, threads: int) -> set[str]:
    """Run with DVC what changed in the project; returns the names of the stages that ran.

    With `names` of models or stages, only these and what they depend on. UsageError if one is
    unknown, DataError if the data is not what data.dvc names, BusyError if another run or DVC
    works here, ImageproofError with the errors and exit code of a stage that failed.
    """
    try:
        lock = FileLock(root / _pipeline.PROJECT_LOCK).acquire(timeout=0)
    except Timeout:
        reason = (
            f"a flow or another `{project_name()} run` works in this folder; "
            "try again when it has ended"
        )
        raise BusyError(f"{root}: {reason}") from None
    with lock:
        stages = stale_stages(_pipeline.read_pipeline(root, names))
        if not stages:
            return set()
        board = Board([stage.name for stage in stages])
        with board.table:
            _run_all(Schedule(stages, threads), board)
    return {name for name, state in board.states.items() if state == "done"}


def _run_all(schedule: "Schedule", board: "Board") -> None:
    """Run all stages. When one has failed no other starts; those that run come to their end."""
    running: dict[str, Future[str]] = {}
    done: set[str] = set()
    failures: list[ImageproofError] = []
    commands = Commands()
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with ThreadPoolExecutor() as pool:
        try:
            while True:
                for name in [] if failures else schedule.startable(running, done):
                    board.start(name)
                    on_line = partial(board.line, name)
                    running[name] = pool.submit(reproduce, name, commands, on_line, env=env)
                if not running:
                    break
                wait(running.values(), return_when=FIRST_COMPLETED)
                for name in [name for name, future in running.items() if future.done()]:
                    try:
                        board.end(name, running.pop(name).result())
                        done.add(name)
                    except ImageproofError as error:
                        board.end(name, "failed")
                        failures.append(error)
        finally:
            commands.stop()
    if failures:
        findings = [finding for failure in failures for finding in failure.findings]
        not_done = [stage.name for stage in schedule.stages if stage.name not in done]
        summary = ImageproofError(*findings, f"not done: {', '.join(not_done)}")
        summary.exit_code = failures[0].exit_code
        raise summary


def stale_stages(pipeline: Sequence[Stage]) -> list[Stage]:
    """The stages that changed, and those that depend on one of them; upstream first, as given."""
    stale: dict[str, Stage] = {}
    for stage in pipeline:
        if stage.changed or not stale.keys().isdisjoint(stage.upstream):
            stale[stage.name] = stage
    return list(stale.values())


class Schedule(NamedTuple):
    """The stages to run, upstream first, and the cores for them.

    A stage with `train.threads` threads needs `threads` cores, others one. A timed stage shares no
    core: logical processors of one core would slow each other.
    """

    stages: Sequence[Stage]
    threads: int
    cores: int = min(psutil.cpu_count(logical=False) or 1, _machine.processors())
    processors: int = _machine.processors()

    def startable(self, running: Collection[str], done: Collection[str]) -> list[str]:
        """The stages that may start, by name, while some are running and some done; timed first."""
        names = {stage.name for stage in self.stages}
        together = [stage for stage in self.stages if stage.name in running]
        for stage in sorted(self.stages, key=lambda stage: not stage.timed):
            waits = stage.name not in {*running, *done}
            ready = waits and names.intersection(stage.upstream) <= {*done}
            if ready and self._fits([*together, stage]):
                together.append(stage)
        return [stage.name for stage in together if stage.name not in running]

    def _fits(self, together: Sequence[Stage]) -> bool:
        if any(stage.timed for stage in together) and len(together) > 1:
            return sum(self.threads if stage.threaded else 1 for stage in together) <= self.cores
        return len(together) <= self.processors


class Board:
    """A table that changes in place on a terminal, lines in a log: how far the stages are."""

    def __init__(self, names: Sequence[str]) -> None:
        self.states: dict[str, str] = {}  # how each stage ended
        self._console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
        # a CI that forces colours is no terminal, and some terminals cannot draw in place
        self._in_place = sys.stdout.isatty() and self._console.is_interactive
        note = Column(ratio=1, no_wrap=True)
        self.table = Progress(
            TextColumn("{task.description}"),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", markup=False, table_column=note),
            console=self._console,
            disable=not self._in_place,
            expand=True,
        )
        add = self.table.add_task
        self._rows = {name: add(name, start=False, state="waits", note="") for name in names}
        self._all = add("all", state="", note=self._bar())
        self._log(f"to run: {', '.join(names)}")

    def start(self, name: str) -> None:
        self.table.start_task(self._rows[name])
        self.table.update(self._rows[name], state="runs")
        self._log(f"{name}: starts")

    def line(self, name: str, line: str) -> None:
        """The stage prints a line; a terminal keeps only warnings and the last one."""
        self.table.update(self._rows[name], note=line)
        if not self._in_place or line.startswith("warning: "):
            self._console.print(f"{name}: {line}")

    def end(self, name: str, state: str) -> None:
        """The stage ends: `done`, `unchanged`, `from cache` or `failed`."""
        self.states[name] = state
        self.table.update(self._rows[name], state=state)
        self.table.stop_task(self._rows[name])
        self.table.update(self._all, note=self._bar())
        seconds = round(self.table.tasks[self._rows[name]].elapsed or 0)
        duration = f"{seconds // 60}:{seconds % 60:02}"
        self._log(f"{name}: {state} in {duration}; {len(self.states)} of {len(self._rows)} stages")

    def _bar(self) -> str:
        done = len(self.states)
        count = len(self._rows)
        return f"[{'#' * done}{'.' * (count - done)}] {done} of {count} stages"

    def _log(self, text: str) -> None:
        if not self._in_place:
            self._console.print(text)
