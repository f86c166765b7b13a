"""How far the stages are: a table that changes in place on a terminal, lines in a log."""

import sys
import time
from collections.abc import Mapping

from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn
from rich.table import Column

from digits.running.schedule import Schedule


class Board:
    """The stages of one run, and what to call when one starts, prints a line, or ends."""

    def __init__(self, schedule: Schedule, guesses: Mapping[str, float | None]) -> None:
        """`guesses` are the seconds that each stage is expected to take; None if not known."""
        self._schedule, self._guesses = schedule, guesses
        self._started: dict[str, float] = {}  # by `time.monotonic`
        self._ended: dict[str, tuple[str, float]] = {}  # state and seconds
        self._console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
        # a CI that forces colours is no terminal, and some terminals cannot draw in place
        self._in_place = sys.stdout.isatty() and self._console.is_interactive
        self._table = Progress(
            TextColumn("{task.description}"),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", table_column=Column(ratio=1, no_wrap=True)),
            console=self._console,
            disable=not self._in_place,
            expand=True,
        )
        add = self._table.add_task
        self._rows = {name: add(name, start=False, state="waits", note="") for name in guesses}
        self._all = add("all", state="", note=self._summary())

    def __enter__(self) -> "Board":
        self._table.start()
        plan = ", ".join(f"{name} {_clock(guess)}" for name, guess in self._guesses.items())
        self._log(f"to run: {plan}\n{self._summary()}")
        return self

    def __exit__(self, *_error: object) -> None:
        self._table.stop()

    def start(self, name: str) -> None:
        """The stage starts."""
        self._started[name] = time.monotonic()
        self._table.start_task(self._rows[name])
        self._table.update(self._rows[name], state="runs")
        self._log(f"{name}: starts")

    def line(self, name: str, line: str) -> None:
        """The stage prints a line; a terminal keeps only warnings and the last one."""
        self._table.update(self._rows[name], note=line)
        if not self._in_place or line.startswith("warning: "):
            self._console.print(f"{name}: {line}")

    def end(self, name: str, state: str) -> None:
        """The stage ends: `done`, `unchanged`, `from cache` or `failed`."""
        seconds = time.monotonic() - self._started[name]
        self._ended[name] = (state, seconds)
        self._table.update(self._rows[name], state=state)
        self._table.stop_task(self._rows[name])
        self._table.update(self._all, note=self._summary())
        self._log(f"{name}: {state} in {_clock(seconds)}; {self._summary()}")

    def seconds(self) -> dict[str, float]:
        """The seconds of each stage whose command has run to its end."""
        return {name: seconds for name, (state, seconds) in self._ended.items() if state == "done"}

    def _summary(self) -> str:
        failed = any(state == "failed" for state, _ in self._ended.values())
        text = f"{len(self._ended) - failed} of {len(self._guesses)} stages"
        if failed or len(self._ended) == len(self._guesses):
            return text
        now, left = time.monotonic(), dict[str, float]()
        for name in self._guesses.keys() - self._ended.keys():
            spent = now - self._started.get(name, now)
            left[name] = max(0.0, (self._guesses[name] or 0.0) - spent)
        running = self._started.keys() - self._ended.keys()
        seconds = self._schedule.seconds_left(left, running=running)
        how = "more than" if None in self._guesses.values() else "about"
        return f"{text}, {how} {_clock(seconds)} left"

    def _log(self, text: str) -> None:
        if not self._in_place:
            self._console.print(text)


def _clock(seconds: float | None) -> str:
    return "?" if seconds is None else "{}:{:02}".format(*divmod(round(seconds), 60))
