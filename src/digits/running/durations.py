"""How long the stages take: by the last run here, or as measured on another machine."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pydantic import PositiveFloat

from digits.core.errors import DataError
from digits.core.files import read_json, write_json
from digits.params import Params

LAST_RUN = Path(".state/durations.json")
# At most so many of a stage's seconds are imports and logging, whatever the data and the epochs.
FIXED_S = 8.0


class Duration(NamedTuple):
    """Seconds of a stage, for so many epochs of all the data (1 epoch if it trains nothing)."""

    seconds: PositiveFloat
    epochs: PositiveFloat


# With params.yaml as it is in git, on two cores of an AMD EPYC: trainings by `make bench`, others
# by the processor time of `python -m digits.stages.…`, and a second for DVC.
MEASURED = {
    "validate": Duration(4, 1),
    "explore": Duration(3, 1),
    "split": Duration(3, 1),
    "train@mlp": Duration(62, 30),
    "train@cnn": Duration(315, 12),
    "train@compact": Duration(49, 5),
    "train@sprint": Duration(12, 2),
    "train@best": Duration(305, 12),
    "evaluate@mlp": Duration(10, 1),
    "evaluate@cnn": Duration(18, 1),
    "evaluate@compact": Duration(13, 1),
    "compare": Duration(6, 1),
    "report": Duration(4, 1),
}


def guess(stage: str, params: Params) -> float | None:
    """The seconds that a stage takes with these params; None if they were never measured."""
    measured = (MEASURED | _last_run()).get(stage)
    if measured is None:
        return None
    fixed = min(measured.seconds, FIXED_S)
    return fixed + (measured.seconds - fixed) * _epochs(stage, params) / measured.epochs


def record(seconds: Mapping[str, float], params: Params) -> None:
    """Write how long stages took, for the next run."""
    ran = {stage: Duration(s, _epochs(stage, params)) for stage, s in seconds.items()}
    write_json(LAST_RUN, _last_run() | ran)


def _last_run() -> dict[str, Duration]:
    with suppress(DataError):
        return read_json(LAST_RUN, dict[str, Duration])
    return {}


def _epochs(stage: str, params: Params) -> float:
    name, _, model = stage.partition("@")
    epochs = params.recipe(model).fit.epochs if name == "train" and model else 1
    return epochs * params.data.percent / 100
