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
from digits.core.commands import Commands
from digits.core.errors import DigitsError
from digits.core.machine import Slots
from digits.sweep import trial
from digits.sweep.trial import Spec
from digits.tracking import store, sweeps

pytestmark = pytest.mark.slow


@pytest.fixture
def spec(project: Path) -> Spec:
    """A trial on the small digits, whose splits lie in a remote."""
    md5s = {}
    for name in trial.FITTED_ON:
        content = split_path(name).read_bytes()
        md5 = md5s[name] = hashlib.md5(content).hexdigest()
        path = Path("remote/files/md5", md5[:2], md5[2:])
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    experiment = store.connect("digits-sweeps")
    return Spec(
        name="trial 0",
        model="mlp",
        raw=changed(SMALL),
        datasets=md5s,
        remote="",
        settings={"url": str(Path("remote").resolve())},
        tracking_uri=store.tracking_uri(),
        parent_run=MlflowClient().create_run(experiment).info.run_id,
        flow_run="f",
    )


def child_run(spec: Spec) -> Any:
    """The trial's run in MLflow, if it has one by now."""
    query = f"tags.`mlflow.parentRunId` = '{spec.parent_run}'"
    return next(iter(MlflowClient().search_runs([store.connect("digits-sweeps")], query)), None)


def with_params(spec: Spec, changes: dict[str, Any]) -> Spec:
    """The same trial with other values of params.yaml."""
    return spec.model_copy(update={"raw": changed({**SMALL, **changes})})


def test_a_trial_is_a_child_run_with_its_values_and_its_learning_curve(spec: Spec) -> None:
    trial.run_trial(spec, Commands(), print)
    run = child_run(spec)
    assert run.info.status == "FINISHED"
    assert run.data.params["optimizer.learning_rate"] == "0.001"
    assert run.data.tags["prefect_flow_run_id"] == "f"
    assert run.data.tags["split_md5"] == spec.datasets["train"]
    curve = MlflowClient().get_metric_history(run.info.run_id, "val_accuracy")
    assert [point.step for point in curve] == [0, 1]


def test_a_trial_waits_for_cores(spec: Spec) -> None:
    spec = with_params(spec, {"train.threads": os.cpu_count()})
    other, third = Slots(Path(), 2).take(), Slots(Path(), 2).take()
    assert other is not None
    assert third is not None
    printed: list[str] = []

    def waits() -> bool:
        return any(line.startswith("trial 0 waiting for free cores") for line in printed)

    two = spec.model_copy(update={"at_once": 2})
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(trial.run_trial, two, Commands(), printed.append)
        assert until(waits, seconds=120)
        assert child_run(spec) is None
        third.release()
        future.result(240)
    other.release()


def test_a_trial_that_is_asked_to_stop_is_pruned_after_an_epoch(spec: Spec) -> None:
    spec = with_params(spec, {"train.mlp.fit.epochs": 100_000})
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(trial.run_trial, spec, Commands(), print)
        assert until(lambda: bool((run := child_run(spec)) and run.data.metrics), seconds=120)
        sweeps.TrialRuns(spec.parent_run, child_run(spec).info.experiment_id).stop_all()
        future.result(60)
    run = child_run(spec)
    assert run.info.status == "FINISHED"
    assert run.data.tags[sweeps.PRUNED_TAG] == "the sweep was interrupted"


def test_a_terminated_trial_ends_its_process_and_its_run(spec: Spec) -> None:
    spec = with_params(spec, {"train.mlp.fit.epochs": 100_000})
    commands = Commands()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(trial.run_trial, spec, commands, print)
        assert until(lambda: bool((run := child_run(spec)) and run.data.metrics), seconds=120)
        commands.stop(grace_s=60)
        with pytest.raises(DigitsError, match="trial 0 ended with 143"):
            future.result(60)
    assert child_run(spec).info.status == "KILLED"
    assert not [p for p in psutil.Process().children() if "digits.sweep.trial" in p.cmdline()]


def test_a_trial_that_is_run_again_counts_by_the_run_that_finished(spec: Spec) -> None:
    client, experiment = MlflowClient(), store.connect("digits-sweeps")
    tags = {"mlflow.parentRunId": spec.parent_run, sweeps.TRIAL_TAG: spec.name}
    finished, again = (client.create_run(experiment, tags=tags).info.run_id for _ in range(2))
    client.set_terminated(finished)
    trial_runs = sweeps.TrialRuns(spec.parent_run, experiment)
    assert trial_runs.last(spec.name).info.run_id == finished
    assert trial_runs.running() == {spec.name: again}
