"""Where each second of a training goes: `python -m benchmarks.seconds MODEL`, in a workspace."""

import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

START = time.perf_counter()
SECONDS: dict[str, float] = defaultdict(float)


def timed(label: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function; what it takes is added to the label's seconds."""

    def call(*arguments: Any, **options: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*arguments, **options)
        finally:
            SECONDS[label] += time.perf_counter() - start

    return call


def main(model: str) -> None:
    """Run the stage with a clock in each of its parts, and print the seconds as JSON."""
    from digits.core import process
    from digits.params import load

    process.set_environment()
    process.spare_the_collector()
    with process.quiet_tensorflow(load().train.threads):
        import keras

        from digits.stages import train as stage
        from digits.tracking import runs
        from digits.training import fit as training
    SECONDS["imports"] = time.perf_counter() - START

    train: Any = stage  # whose parts are exchanged
    train.read_split = timed("data", train.read_split)
    builder = train.builder
    train.builder = lambda name: timed("build", builder(name))
    keras.Model.fit = timed("fit", keras.Model.fit)
    keras.Model.evaluate = timed("validation", keras.Model.evaluate)
    runs.log_epoch = timed("log epochs", runs.log_epoch)
    runs.log_model = timed("log model", runs.log_model)
    train.write = timed("outputs", train.write)
    _time_first_steps(training.Clock)
    train.main(model)
    print(json.dumps(parts(time.perf_counter() - START)))


def _time_first_steps(clock: Any) -> None:
    on_batch_end = clock.on_train_batch_end

    def noting_the_first(self: Any, *arguments: Any, **options: Any) -> None:
        if "first 64 steps" not in SECONDS:
            SECONDS["first 64 steps"] = time.perf_counter() - self._ends[0]
        on_batch_end(self, *arguments, **options)

    clock.on_train_batch_end = noting_the_first


def parts(wall_s: float) -> dict[str, float]:
    """The seconds by part; `steps` is what is left of the fit, `rest` of the whole."""
    found = dict(SECONDS)
    fit = found.pop("fit")
    found["steps"] = fit - sum(
        found[part] for part in ("first 64 steps", "validation", "log epochs")
    )
    found["rest"] = (
        wall_s
        - fit
        - sum(found[part] for part in ("imports", "data", "build", "log model", "outputs"))
    )
    return found


if __name__ == "__main__":
    main(sys.argv[1])
