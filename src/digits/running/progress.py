"""How far the stages are: a table that changes in place on a terminal, lines in a log."""

import re
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from rich.columns import Columns
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Column, Table

from digits.running.schedule import Schedule

EPOCH = re.compile(r" (epoch \d+/(\d+))\b(?:.*(val_accuracy \S+))?")
BAR = 30  # characters


@dataclass
class Progress:
    """One stage.

    Attributes:
        guess: Seconds it is expected to take; None if nothing is known.
        total: Seconds it takes, as its epochs show or as it has taken; None until then.
        state: `waits`, `runs`, or how it ended.
        started: When, by `time.monotonic`.
        epochs: When each of its epochs ended, so far.
        note: The last of them, in words.
    """

    guess: float | None
    total: float | None = None
    state: str = "waits"
    started: float = 0.0
    epochs: list[float] = field(default_factory=list)
    note: str = ""

    def elapsed(self) -> float:
        """Seconds since it started, while it runs; 0 before."""
        return time.monotonic() - self.started if self.state == "runs" else 0.0

    def left(self, pace: float) -> float:
        """Seconds until its end; those of a stage that waits, times `pace`."""
        return max(0.0, (self.total or (self.guess or 0.0) * pace) - self.elapsed())

    def time(self) -> str:
        """The time that it took, takes or will take."""
        total = self.total or self.guess
        text = clock(max(total, self.elapsed())) if total else "?"
        return f"{clock(self.elapsed())} of {text}" if self.state == "runs" else text

    def see(self, epoch: re.Match[str]) -> None:
        """An epoch ended: the further ones will take as long as those since the first."""
        self.epochs.append(time.monotonic())
        self.note = " ".join(filter(None, epoch.group(1, 3)))
        if further := len(self.epochs) - 1:
            seconds = (self.epochs[-1] - self.epochs[0]) / further
            self.total = self.epochs[0] - self.started + seconds * (int(epoch[2]) - 1)


class Board:
    """The stages of one run, and what to call when one starts, prints a line, or ends."""

    def __init__(self, schedule: Schedule, guesses: Mapping[str, float | None]) -> None:
        self._schedule = schedule
        self._stages = {stage.name: Progress(guesses[stage.name]) for stage in schedule.stages}
        self._started = time.monotonic()
        self._console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
        self._live = Live(console=self._console, get_renderable=self._table)
        # a CI that forces colours is no terminal, and some terminals cannot draw in place
        self._in_place = sys.stdout.isatty() and self._console.is_interactive

    def __enter__(self) -> "Board":
        if self._in_place:
            self._live.start()
        plan = ", ".join(f"{name} {stage.time()}" for name, stage in self._stages.items())
        self._log(f"to run: {plan}\n{self._summary()}")
        return self

    def __exit__(self, *_error: object) -> None:
        self._live.stop()

    def start(self, name: str) -> None:
        """The stage starts."""
        self._stages[name].state, self._stages[name].started = "runs", time.monotonic()
        self._log(f"{name}: starts")

    def line(self, name: str, line: str) -> None:
        """The stage prints a line; a terminal shows that of an epoch in the table only."""
        if epoch := EPOCH.search(line):
            self._stages[name].see(epoch)
            self._log(f"{name}: {line[epoch.start(1) :]}")
        else:
            self._console.print(f"{name}: {line}")

    def end(self, name: str, state: str) -> None:
        """The stage ends: `done`, `unchanged`, `from cache` or `failed`."""
        stage = self._stages[name]
        stage.total, stage.state = stage.elapsed(), state
        self._log(f"{name}: {state} in {stage.time()}; {self._summary()}")

    def seconds(self) -> dict[str, float]:
        """The seconds of each stage whose command has run to its end."""
        done = {name: stage.total for name, stage in self._stages.items() if stage.state == "done"}
        return {name: total for name, total in done.items() if total}

    def seconds_left(self) -> float:
        """Seconds to the end, if all goes at the pace of the trainings so far.

        A stage of which nothing is known counts as 0.
        """
        trainings = [self._stages[stage.name] for stage in self._schedule.stages if stage.timed]
        ran = [each for each in trainings if each.state in ("runs", "done")]
        seen = [(each.total, each.guess) for each in ran if each.total and each.guess]
        pace = sum(total for total, _ in seen) / sum(guess for _, guess in seen) if seen else 1.0
        open_ = {n: stage for n, stage in self._stages.items() if stage.state in ("waits", "runs")}
        left = {name: stage.left(pace) for name, stage in open_.items()}
        running = [name for name, stage in open_.items() if stage.state == "runs"]
        return self._schedule.seconds_left(left, running=running)

    def _summary(self) -> str:
        states = [stage.state for stage in self._stages.values()]
        ended = len(states) - states.count("waits") - states.count("runs")
        text = f"{ended - states.count('failed')} of {len(states)} stages"
        if ended == len(states) or "failed" in states:
            return text
        known = all(stage.total or stage.guess for stage in self._stages.values())
        return f"{text}, {'about' if known else 'more than'} {words(self.seconds_left())} left"

    def _table(self) -> Group:
        table = Table.grid(
            *("", "", ""), Column(ratio=1, no_wrap=True), padding=(0, 2, 0, 0), expand=True
        )
        for name, stage in self._stages.items():
            table.add_row(name, stage.state, stage.time(), stage.note)
        spent = time.monotonic() - self._started
        bar = ProgressBar(total=spent + self.seconds_left(), completed=spent, width=BAR)
        return Group(table, Columns([bar, self._summary()]))

    def _log(self, text: str) -> None:
        if not self._in_place:
            self._console.print(text)


def clock(seconds: float) -> str:
    """Minutes and seconds, as 1:05."""
    return "{}:{:02}".format(*divmod(round(seconds), 60))


def words(seconds: float) -> str:
    """Minutes, or seconds below 90."""
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
