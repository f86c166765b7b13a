"""One trial in a process of its own: its run in MLflow, and its end when it is stopped."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from mlflow import MlflowClient
from support import SMALL, changed, until

from digits.core.artifacts import split_path
from digits.core.errors import DigitsError
from digits.core.slots import Slots
from digits.sweep import trial
from digits.tracking import store, sweeps

pytestmark = pytest.mark.slow


@pytest.fixture
def spec(project: Path) -> dict[str, Any]:
    """A trial on the small digits, whose splits lie in a remote."""
    md5s = {}
    for name in trial.FITTED_ON:
        content = split_path(name).read_bytes()
        md5 = md5s[name] = hashlib.md5(content).hexdigest()
        path = Path("remote/files/md5", md5[:2], md5[2:])
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    experiment = store.connect(sweeps.EXPERIMENT)
    return {
        "name": "trial 0",
        "model": "mlp",
        "raw": changed(SMALL),
        "datasets": md5s,
        "source": str(Path("remote").resolve()),
        "tracking_uri": store.tracking_uri(),
        "parent_run": MlflowClient().create_run(experiment).info.run_id,
        "flow_run": "f",
    }


def child_run(spec: dict[str, Any]) -> Any:
    """The trial's run in MLflow, if it has one by now."""
    query = f"tags.`mlflow.parentRunId` = '{spec['parent_run']}'"
    return next(iter(MlflowClient().search_runs([store.connect(sweeps.EXPERIMENT)], query)), None)


def test_a_trial_is_a_child_run_with_its_values_and_its_learning_curve(
    spec: dict[str, Any],
) -> None:
    outcome = trial.Outcome.model_validate(trial.run(spec))
    run = child_run(spec)
    assert run.info.status == "FINISHED"
    assert outcome.run_id == run.info.run_id
    assert run.data.params["optimizer.learning_rate"] == "0.001"
    assert run.data.tags["prefect_flow_run_id"] == "f"
    assert run.data.tags["split_md5"] == spec["datasets"]["train"]
    curve = MlflowClient().get_metric_history(run.info.run_id, "val_accuracy")
    assert [point.step for point in curve] == [0, 1]
    assert outcome.value == curve[-1].value
    assert not outcome.pruned


def test_a_trial_waits_for_cores(spec: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    spec["raw"]["train"]["threads"] = os.cpu_count()
    other, third = Slots(Path(), 2).take(), Slots(Path(), 2).take()
    assert other is not None
    assert third is not None
    printed: list[str] = []

    def waits() -> bool:
        printed.append(capsys.readouterr().out)
        return "trial 0 waiting for free cores" in "".join(printed)

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(trial.run, {**spec, "at_once": 2})
        assert until(waits, seconds=120)
        assert child_run(spec) is None
        third.release()
        future.result(240)
    other.release()


def test_a_stopped_trial_ends_its_process_and_its_run(spec: dict[str, Any]) -> None:
    spec["raw"]["train"]["mlp"]["fit"]["epochs"] = 100_000
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(trial.run, spec)
        assert until(lambda: bool((run := child_run(spec)) and run.data.metrics), seconds=120)
        trial.stop_all()
        with pytest.raises(DigitsError, match="trial 0 ended with 143"):
            future.result(60)
    assert child_run(spec).info.status == "KILLED"
    assert not [p for p in psutil.Process().children() if "digits.sweep.trial" in p.cmdline()]
