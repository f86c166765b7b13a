"""Progress of a training: a bar with the time left on a terminal, plain lines in a log."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, Progress, TimeElapsedColumn, TimeRemainingColumn


class TrainingProgress(NamedTuple):
    """What to call while a training runs.

    `on_batches(epochs_done)` counts the current epoch as a fraction; `on_epoch(epoch, metrics)`
    is for an epoch that has ended, counted from 0.
    """

    on_batches: Callable[[float], None]
    on_epoch: Callable[[int, Mapping[str, float]], None]


@contextmanager
def training_progress(name: str, epochs: int) -> Iterator[TrainingProgress]:
    """Show progress on a terminal as a bar, elsewhere as one line per epoch."""
    columns = (
        *("{task.description}", BarColumn()),
        *("epoch {task.completed:.0f}/{task.total:.0f}", TimeElapsedColumn()),
        *("left", TimeRemainingColumn(), "{task.fields[result]}"),
    )
    on_terminal = Console().is_terminal
    with Progress(*columns, disable=not on_terminal) as bar:
        task = bar.add_task(name, total=epochs, result="")

        def on_epoch(epoch: int, metrics: Mapping[str, float]) -> None:
            result = f"loss {metrics['loss']:.4f}  val_accuracy {metrics['val_accuracy']:.4f}"
            bar.update(task, completed=epoch + 1, result=result)
            if not on_terminal:
                print(f"{name} epoch {epoch + 1}/{epochs}  {result}", flush=True)

        yield TrainingProgress(
            lambda epochs_done: bar.update(task, completed=epochs_done), on_epoch
        )
