"""What a training prints: how many steps it has, and how well each epoch did."""

import math
from collections.abc import Callable

from imageproof.base._dataset import Metrics
from imageproof.base._naming import adapt_hint
from imageproof.base.errors import UsageError
from imageproof.keras.costs import MIN_STEPS


def printing(
    model: str, log_epoch: Callable[[int, Metrics], None], *, epochs: int | None
) -> Callable[[int, Metrics], None]:
    """A function that logs an epoch and prints it; `epochs` is how many there will be, if known."""
    total = f"/{epochs}" if epochs else ""

    def on_epoch(epoch: int, metrics: Metrics) -> None:
        log_epoch(epoch, metrics)
        figures = f"loss {metrics['loss']:.4f}  val_accuracy {metrics['val_accuracy']:.4f}"
        print(f"{model} epoch {epoch}{total}  {figures}", flush=True)

    return on_epoch


def print_steps(
    model: str,
    *,
    rows: int,
    batch_size: int,
    epochs: int,
    done: int,
) -> None:
    """Print how many steps a training has; a warning if they are few; from which epoch it goes on.

    `done` counts the epochs of its checkpoint.
    """
    steps = math.ceil(rows / batch_size)
    total = steps * epochs
    print(f"{model}: {steps:,} steps an epoch, {total:,} in all", flush=True)
    if total < MIN_STEPS:
        cure = f"lower train.{model}.fit.batch_size, or raise train.{model}.fit.epochs"
        print(f"warning: {model}: {total:,} steps teach little; {cure} ({adapt_hint()})")
    if done:
        print(f"{model} goes on after epoch {done}/{epochs}", flush=True)


def check_finite(
    metrics: Metrics,
    *,
    epoch: int,
    rate: float,
) -> None:
    """Refuse to go on after an epoch whose metrics are infinite or not a number."""
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise UsageError(
                f"epoch {epoch}: {name} is {value}, the training diverged; lower the learning rate "
                f"({rate:g}), or set optimizer.clipnorm"
            )
