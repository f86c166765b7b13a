"""A sweep: trials proposed by a study in its storage, watched and stopped through MLflow."""

import gc
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import optuna
import postgres
import pytest
from mlflow import MlflowClient
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState
from support import PARAMS, finding, findings, until

from digits.core.errors import DigitsError, ServiceError, UsageError
from digits.core.process import this_process
from digits.sweep.space import Space
from digits.sweep.study import ask, open_study
from digits.sweep.sweep import Result, Submit, Sweep, command
from digits.sweep.trial import Spec
from digits.tracking import store, sweeps

LEARNING_RATE = "optimizer.learning_rate"
SPACE: Space = {LEARNING_RATE: FloatDistribution(0.001, 1.0)}
EPOCHS = 3
NOISE = PARAMS["seed"] / 1000


def curve(spec: Spec) -> None:
    """A trial without training: as good as its learning rate; if that is low, it waits for a stop.

    The default learning rate is 0.001.
    """
    block: Any = spec.raw["train"]
    rate, noise = block["mlp"]["optimizer"]["learning_rate"], int(str(spec.raw["seed"])) / 1000
    if rate > 0.9:
        raise DigitsError("out of memory")
    client = MlflowClient()
    experiment = client.get_run(spec.parent_run).info.experiment_id
    tags = {"mlflow.parentRunId": spec.parent_run, sweeps.TRIAL_TAG: spec.name}
    run_id = client.create_run(experiment, tags=tags).info.run_id
    for epoch in range(EPOCHS):
        client.log_metric(run_id, sweeps.OBJECTIVE, rate + noise, step=epoch)
    bad = 0.001 < rate < 0.1
    assert not bad or until(lambda: sweeps.obey_stop(run_id) is not None, seconds=60)
    client.set_terminated(run_id)


@pytest.fixture
def submit(tracked: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Submit]:
    """Sends trials to threads."""
    monkeypatch.setattr("digits.sweep.sweep.POLL_S", 0.1)
    with ThreadPoolExecutor(4) as pool:
        yield lambda spec: pool.submit(curve, spec)


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """The address of a PostgreSQL database, with its password."""
    programs = postgres.installed()
    if programs is None:
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    with postgres.running(programs) as address:
        yield address
        gc.collect()  # Optuna leaves connections open; at the end of all tests that is an error


def study_of(*rates: float, storage: str | None = None) -> optuna.Study:
    """The study `s`, which tries these learning rates next."""
    study = open_study("s", model="mlp", space=SPACE, seed=1, storage=storage)
    for rate in rates:
        study.enqueue_trial({LEARNING_RATE: rate})
    return study


def sweep(study: optuna.Study, submit: Submit, *, trials: int) -> Result:
    """Run so many trials."""
    template = Spec(
        model="mlp",
        raw=PARAMS,
        datasets={},
        remote="",
        settings={},
        tracking_uri=store.tracking_uri(),
        flow_run="",
    )
    return Sweep(study, SPACE, template, submit, parallel=2).run(trials=trials, seeds=3)


def runs() -> dict[str, str]:
    """Name and status of all runs of sweeps, trials by their tag."""
    found = MlflowClient().search_runs([store.connect("digits-sweeps")])
    return {
        run.data.tags.get(sweeps.TRIAL_TAG, run.info.run_name): run.info.status for run in found
    }


@pytest.mark.parametrize("kept_in", ["sqlite", "postgresql"])
def test_a_sweep_is_continued_below_its_parent_run_and_stops_bad_trials_early(
    submit: Submit, kept_in: str, request: pytest.FixtureRequest
) -> None:
    storage = request.getfixturevalue("database") if kept_in == "postgresql" else None
    first = sweep(study_of(0.5, 0.6, 0.7, 0.8, 0.7, storage=storage), submit, trials=5)
    assert first.command == "dvc exp run -S train.mlp.optimizer.learning_rate=0.8"
    assert first.difference == pytest.approx(0.8 - 0.001)
    study = study_of(0.01, 0.95, 0.85, storage=storage)
    second = sweep(study, submit, trials=3)
    assert "learning_rate=0.85" in second.command
    states = [trial.state.name for trial in study.trials]
    assert states == ["COMPLETE"] * 5 + ["PRUNED", "FAIL", "COMPLETE"]
    assert study.trials[0].intermediate_values == dict.fromkeys(range(EPOCHS), 0.5 + NOISE)
    compared = {f"{name}, seed {n}" for name in ("best", "default") for n in (43, 44, 45)}
    trials = {f"trial {n}" for n in (0, 1, 2, 3, 4, 5, 7)}
    assert set(runs()) == {"s"} | trials | compared
    assert set(runs().values()) == {"FINISHED"}
    assert postgres.PASSWORD.encode() not in Path("mlflow.db").read_bytes()


def test_a_sweep_without_a_good_trial_tells_why_and_its_run_failed(submit: Submit) -> None:
    lines = findings(DigitsError, lambda: sweep(study_of(0.95), submit, trials=1))
    assert lines == ["study s: no trial ran to its end", "out of memory"]
    assert runs() == {"s": "FAILED"}


class Interrupting:
    """A trial during which the user presses Ctrl-C."""

    def done(self) -> bool:
        raise KeyboardInterrupt

    def result(self) -> None:
        raise AssertionError


def test_an_interrupted_sweep_asks_its_trials_to_stop_and_leaves_none_running(
    submit: Submit,
) -> None:
    futures = []

    def interrupted(spec: Spec) -> Any:
        if futures:
            assert until(lambda: runs().get("trial 0") == "RUNNING", seconds=60)
            return Interrupting()
        futures.append(submit(spec))
        return futures[0]

    study = study_of(0.01, 0.02)
    with pytest.raises(KeyboardInterrupt):
        sweep(study, interrupted, trials=2)
    futures[0].result()
    assert [trial.state for trial in study.trials] == [TrialState.FAIL] * 2
    assert runs() == {"s": "KILLED", "trial 0": "FINISHED"}


def test_a_trial_whose_process_is_gone_is_failed_when_the_study_is_opened(tracked: Path) -> None:
    host = this_process().partition(":")[0]
    ask(study_of(), SPACE).set_user_attr("process", f"{host}:999999999:1")
    ask(study_of(), SPACE)
    states = [trial.state for trial in study_of().trials]
    assert states == [TrialState.FAIL, TrialState.RUNNING]


def test_a_study_of_another_model_is_refused(tracked: Path) -> None:
    study_of()
    line = finding(UsageError, lambda: open_study("s", model="cnn", space=SPACE, seed=1))
    assert line == "study: 's' is of mlp, not of cnn"


def test_a_space_in_which_optuna_cannot_continue_is_refused(tracked: Path) -> None:
    choices: Space = {LEARNING_RATE: CategoricalDistribution(["0.1", "0.2"])}
    ask(study_of(0.5), SPACE)
    line = finding(UsageError, lambda: open_study("s", model="mlp", space=choices, seed=1))
    assert line.startswith("study: 's' has other choices for optimizer.learning_rate")


@pytest.mark.parametrize(
    ("storage", "reason"),
    [
        ("sqlite:////nowhere/at/all.db", "unable to open database file"),
        ("postgresql://me:secret@127.0.0.1:9/optuna", "Connection refused"),
        ("mysql://me:secret@127.0.0.1:9/optuna", "its Python driver MySQLdb is not installed"),
        ("somewhere", "Could not parse"),
    ],
)
def test_a_storage_that_cannot_be_used_is_told_in_one_line_without_its_password(
    tracked: Path, storage: str, reason: str
) -> None:
    line = finding(ServiceError, lambda: study_of(storage=storage))
    assert line.startswith("Optuna storage of s: ")
    assert reason in line
    assert "secret" not in line


def test_a_wrong_password_is_told_in_one_line_that_does_not_show_it(
    tracked: Path, database: str
) -> None:
    wrong = database.replace(postgres.PASSWORD, "guessed")
    line = finding(ServiceError, lambda: study_of(storage=wrong))
    assert "password authentication failed" in line
    assert "guessed" not in line


def test_distance_is_the_difference_of_means_over_its_standard_error() -> None:
    result = Result([0.90, 0.92, 0.94], [0.80, 0.84, 0.82], "")
    assert result.difference == pytest.approx(0.10)
    assert result.standard_error == pytest.approx(math.sqrt(0.0004 / 3 + 0.0004 / 3))
    assert result.distance == pytest.approx(0.10 / result.standard_error)
    assert result.verdict.startswith(
        "val_accuracy 0.9200 against 0.8200 by default: +0.1000, +6.1 "
    )


@pytest.mark.parametrize(("best", "distance"), [(0.5, 0.0), (0.6, math.inf), (0.4, -math.inf)])
def test_distance_without_any_spread(best: float, distance: float) -> None:
    assert Result([best] * 3, [0.5] * 3, "").distance == distance


def test_command_is_ready_for_a_shell() -> None:
    values = {"fit.epochs": 3, "build.units": [8, 4, 2], "optimizer.name": "adam"}
    assert command("mlp", values) == (
        "dvc exp run -S train.mlp.fit.epochs=3 -S 'train.mlp.build.units=[8, 4, 2]'"
        " -S 'train.mlp.optimizer.name=\"adam\"'"
    )
