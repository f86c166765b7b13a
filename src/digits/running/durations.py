"""How long the stages take: by the last run here, or as measured on another machine."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pydantic import PositiveFloat

from digits.core.errors import DataError
from digits.core.files import read_json, write_json
from digits.params import Params

LAST_RUN = Path(".state/durations.json")
# At most so many of a stage's seconds are imports and logging, whatever the data and the epochs.
FIXED_S = 8.0
# Seconds, and for how many epochs of all the data they are (1 if the stage trains nothing).
Duration = tuple[PositiveFloat, PositiveFloat]
# With params.yaml as it is in git, on two cores of an AMD EPYC.
MEASURED: dict[str, Duration] = {
    "train@mlp": (62, 30),
    "train@cnn": (315, 12),
    "train@compact": (49, 5),
    "train@sprint": (12, 2),
    "train@best": (305, 12),
    **{f"evaluate@{name}": (14, 1) for name in ("mlp", "cnn", "compact")},
    **dict.fromkeys(("validate", "explore", "split", "report", "compare"), (4, 1)),
}


def guess(stage: str, params: Params) -> float | None:
    """The seconds that a stage takes with these params; None if they were never measured."""
    if (measured := (MEASURED | _last_run()).get(stage)) is None:
        return None
    seconds, epochs = measured
    fixed = min(seconds, FIXED_S)
    return fixed + (seconds - fixed) * _epochs(stage, params) / epochs


def record(seconds: Mapping[str, float], params: Params) -> None:
    """Write how long stages took, for the next run."""
    ran = {stage: (s, _epochs(stage, params)) for stage, s in seconds.items()}
    write_json(LAST_RUN, _last_run() | ran)


def _last_run() -> dict[str, Duration]:
    with suppress(DataError):
        return read_json(LAST_RUN, dict[str, Duration])
    return {}


def _epochs(stage: str, params: Params) -> float:
    name, _, model = stage.partition("@")
    epochs = params.recipe(model).fit.epochs if name == "train" and model else 1
    return epochs * params.data.percent / 100
