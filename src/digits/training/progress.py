"""Progress of a training: a bar with the time left on a terminal, plain lines in a log."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class TrainingProgress:
    """Shows how far one training is; made by `training_progress`."""

    def __init__(self, name: str, epochs: int, bar: Progress | None) -> None:
        self._name = name
        self._epochs = epochs
        self._bar = bar
        self._task = bar.add_task(name, total=epochs, result="") if bar else None

    def on_batches(self, epochs_done: float) -> None:
        """Move the bar; `epochs_done` includes the current epoch as a fraction."""
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=epochs_done)

    def on_epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Show the metrics of an epoch, counted from 0, that has ended."""
        result = f"loss {metrics['loss']:.4f}  val_accuracy {metrics['val_accuracy']:.4f}"
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=epoch + 1, result=result)
        else:
            print(f"{self._name} epoch {epoch + 1}/{self._epochs}  {result}", flush=True)


@contextmanager
def training_progress(name: str, epochs: int) -> Iterator[TrainingProgress]:
    """Show progress on a terminal as a bar, elsewhere as one line per epoch."""
    console = Console()
    if not console.is_terminal:
        yield TrainingProgress(name, epochs, None)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("epoch {task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[result]}"),
    )
    with Progress(*columns, console=console) as bar:
        yield TrainingProgress(name, epochs, bar)
