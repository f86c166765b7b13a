"""How far the stages are: a table that changes in place on a terminal, lines in a log."""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn
from rich.table import Column


class Board:
    """The stages of one run, and what to call when one starts, prints a line, or ends."""

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
        ended = f"{len(self.states)} of {len(self._rows)} stages"
        self._log(f"{name}: {state} in {seconds // 60}:{seconds % 60:02}; {ended}")

    def _bar(self) -> str:
        ended, all_ = len(self.states), len(self._rows)
        return f"[{'#' * ended}{'.' * (all_ - ended)}] {ended} of {all_} stages"

    def _log(self, text: str) -> None:
        if not self._in_place:
            self._console.print(text)
