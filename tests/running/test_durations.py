"""How long a stage is expected to take."""

from pathlib import Path

import pytest
from support import PARAMS, changed

from digits.params import check
from digits.running import durations


def test_a_training_here_tells_how_long_one_of_other_data_and_epochs_takes(workspace: Path) -> None:
    params = check(changed({"train.mlp.fit.epochs": 20}))
    durations.record({"train@mlp": 48.0, "validate": 3.0}, params)
    less = check(changed({"train.mlp.fit.epochs": 40, "data.percent": 10}))
    assert durations.guess("train@mlp", params) == 48
    assert durations.guess("train@mlp", less) == 16  # 8 s beside the epochs, 2 s an epoch
    assert durations.guess("validate", less) == 3


@pytest.mark.parametrize("content", [None, "", "{", '{"train@mlp": [-1, 0]}', '{"validate": "x"}'])
def test_without_a_last_run_the_times_of_another_machine_are_taken(
    workspace: Path, content: str | None
) -> None:
    if content is not None:
        durations.LAST_RUN.parent.mkdir()
        durations.LAST_RUN.write_text(content)
    params = check(PARAMS)
    assert durations.guess("train@mlp", params) == durations.MEASURED["train@mlp"].seconds
    assert durations.guess("train@own", params) is None
    durations.record({"compare": 2.5}, params)
    assert durations.guess("compare", params) == 2.5


def test_a_stage_that_is_named_train_alone_has_no_epochs(workspace: Path) -> None:
    params = check(PARAMS)
    durations.record({"train": 12.0}, params)
    assert durations.guess("train", params) == 12


def test_every_stage_of_the_pipeline_was_measured() -> None:
    trained = {f"{stage}@{model}" for stage in ("train", "evaluate") for model in PARAMS["models"]}
    assert trained <= durations.MEASURED.keys()
