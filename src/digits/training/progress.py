"""Progress of a training: a bar with the time left on a terminal, plain lines in a log."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

OnBatches = Callable[[float], None]
OnEpoch = Callable[[int, dict[str, float]], None]


@contextmanager
def training_progress(name: str, epochs: int) -> Iterator[tuple[OnBatches, OnEpoch]]:
    """Yield `on_batches` and `on_epoch` of `fit.train`: a bar, or a line per epoch."""
    columns = (
        *("{task.description}", BarColumn()),
        *("epoch {task.completed:.0f}/{task.total:.0f}", TimeElapsedColumn()),
        *("left", TimeRemainingColumn(), "{task.fields[result]}"),
    )
    on_terminal = Console().is_terminal
    with Progress(*columns, disable=not on_terminal) as bar:
        task = bar.add_task(name, total=epochs, result="")

        def on_epoch(epoch: int, metrics: dict[str, float]) -> None:
            result = f"loss {metrics['loss']:.4f}  val_accuracy {metrics['val_accuracy']:.4f}"
            bar.update(task, completed=epoch + 1, result=result)
            if not on_terminal:
                print(f"{name} epoch {epoch + 1}/{epochs}  {result}", flush=True)

        yield lambda epochs_done: bar.update(task, completed=epochs_done), on_epoch
