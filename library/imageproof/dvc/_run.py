"""Run with DVC the stages that changed, and show how far they are."""

import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Condition

import psutil
from filelock import FileLock, Timeout
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn
from rich.table import Column

from imageproof.base import _machine
from imageproof.base.errors import BusyError, ImageproofError
from imageproof.dvc import _pipeline, provenance
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
        lock = FileLock(root / provenance.PROJECT_LOCK).acquire(timeout=0)
    except Timeout:
        raise BusyError(provenance.working(root)) from None
    with lock:
        stages = stale_stages(_pipeline.read_pipeline(root, names))
        if not stages:
            return set()
        board = Board([stage.name for stage in stages])
        with board.table:
            _run_all(stages, threads, board)
    return {name for name, state in board.states.items() if state == "done"}


def _run_all(stages: Sequence[Stage], threads: int, board: "Board") -> None:
    """Run all stages. When one has failed no other starts; those that run come to their end."""
    schedule = Schedule(threads, stages)
    failures: list[ImageproofError] = []
    commands = Commands()
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}

    def run(stage: Stage) -> None:
        with schedule.turn(stage):
            if failures:
                return
            board.start(stage.name)
            on_line = partial(board.line, stage.name)
            try:
                board.end(stage.name, reproduce(stage.name, commands, on_line, env=env))
            except ImageproofError as error:
                board.end(stage.name, "failed")
                failures.append(error)

    with ThreadPoolExecutor(len(stages)) as pool:
        try:
            list(pool.map(run, stages))
        finally:
            commands.stop()
    if failures:
        findings = [finding for failure in failures for finding in failure.findings]
        names = [
            stage.name for stage in stages if board.states.get(stage.name, "failed") == "failed"
        ]
        summary = ImageproofError(*findings, f"not done: {', '.join(names)}")
        summary.exit_code = failures[0].exit_code
        summary.max_lines = len(summary.findings)  # each stage counts what it leaves out
        raise summary


def stale_stages(pipeline: Sequence[Stage]) -> list[Stage]:
    """The stages that changed, and those that depend on one of them; upstream first, as given."""
    stale: dict[str, Stage] = {}
    for stage in pipeline:
        if stage.changed or not stale.keys().isdisjoint(stage.upstream):
            stale[stage.name] = stage
    return list(stale.values())


class Schedule:
    """Which stages run side by side, each in a thread of its own.

    A stage with `train.threads` threads needs `threads` cores, others one. A timed stage shares no
    core: logical processors of one core would slow each other. Of `stages` it is known at the start
    that they will want a turn, so each waits for those upstream.
    """

    cores = min(psutil.cpu_count(logical=False) or 1, _machine.processors())
    processors = _machine.processors()

    def __init__(self, threads: int, stages: Sequence[Stage] = ()) -> None:
        self._threads = threads
        self._waiting = [*stages]
        self._running: list[Stage] = []
        self._changed = Condition()

    @contextmanager
    def turn(self, stage: Stage) -> Iterator[None]:
        """Wait until the stage may run; it does so within the block."""
        with self._changed:
            if stage not in self._waiting:
                self._waiting.append(stage)
            self._changed.wait_for(lambda: stage in self.startable(self._waiting, self._running))
            self._waiting.remove(stage)
            self._running.append(stage)
        try:
            yield
        finally:
            with self._changed:
                self._running.remove(stage)
                self._changed.notify_all()

    def startable(
        self,
        waiting: Sequence[Stage],
        running: Sequence[Stage],
    ) -> list[Stage]:
        """Those of the waiting stages that may start, the timed ones first."""
        unfinished = {stage.name for stage in (*waiting, *running)}
        together = [*running]
        for stage in sorted(waiting, key=lambda stage: not stage.timed):
            if unfinished.isdisjoint(stage.upstream) and self._fits([*together, stage]):
                together.append(stage)
        return together[len(running) :]

    def _fits(self, together: Sequence[Stage]) -> bool:
        if any(stage.timed for stage in together) and len(together) > 1:
            return sum(self._threads if stage.threaded else 1 for stage in together) <= self.cores
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
