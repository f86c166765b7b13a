"""A sweep: trials of a study on SQLite, its continuation, and its result in MLflow."""

import math
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
from mlflow import MlflowClient
from support import PARAMS, SMALL, Server, changed, finding, findings

import sweep  # here: Prefect keeps the stream that it finds when it is imported
from digits.sweep.search import command, compare, search
from digits.sweep.trial import FITTED_ON, Spec, open_study, propose, run
from imageproof.artifacts import split_path
from imageproof.base.errors import ImageproofError, ServiceError, UsageError
from imageproof.base.files import md5
from imageproof.mlflow import store

RATE = "optimizer.learning_rate"
SPACE = {RATE: {"low": 0.001, "high": 1.0}}


@pytest.fixture
def spec(tracked: Path) -> Spec:
    return Spec(
        model="mlp",
        raw=PARAMS,
        study="digits/s",
        storage=f"sqlite:///{tracked}/sweeps.db",
        space=SPACE,
        splits={},
        tracking_uri=store.tracking_uri(),
    )


def train_all(specs: list[Spec]) -> list[Any]:
    """Trials without training: as good as their learning rate, 0.001 by default."""
    return [train(spec) for spec in specs]


def train(spec: Spec) -> float | Exception | None:
    if spec.values is not None:
        return float(spec.values.get(RATE, 0.001)) + spec.seed / 1000

    def objective(trial: optuna.Trial) -> float:
        values = propose(trial, spec.space)
        trial.set_user_attr("values", values)
        if values[RATE] > 0.9:
            raise MemoryError("out of memory")
        for epoch in range(3):
            trial.report(values[RATE], epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return float(values[RATE])

    try:
        open_study(spec).optimize(objective, n_trials=1)
    except MemoryError as error:
        return error
    return None


def enqueue(spec: Spec, *rates: float) -> optuna.Study:
    """The study, which tries these learning rates next."""
    study = open_study(spec)
    for rate in rates:
        study.enqueue_trial({RATE: rate})
    return study


def test_search_continues_study_and_prunes(spec: Spec) -> None:
    enqueue(spec, 0.5, 0.6, 0.7, 0.8, 0.7)
    verdict, best = search(spec, train_all, trials=5, seeds=3)
    assert best == "dvc exp run -S train.mlp.optimizer.learning_rate=0.8"
    assert verdict.startswith("val_accuracy 0.8440 against 0.0450 by default: +0.7990, ")
    study = enqueue(spec, 0.01, 0.95, 0.85)
    verdict, best = search(spec, train_all, trials=3, seeds=3)
    assert best.endswith("learning_rate=0.85")
    states = [trial.state.name for trial in study.trials]
    assert states == ["COMPLETE"] * 5 + ["PRUNED", "FAIL", "COMPLETE"]
    run, _first = MlflowClient().search_runs([store.connect("digits-sweeps")])
    assert run.info.status == "FINISHED"
    assert run.data.metrics["difference"] == pytest.approx(0.849)
    folder = Path(str(run.info.artifact_uri).removeprefix("file://"))
    assert (folder / "best.txt").read_text() == f"{verdict}\n{best}\n"


def test_search_without_complete_trial_fails(spec: Spec) -> None:
    failure = ["study digits/s: no trial ran to its end", "out of memory"]
    enqueue(spec, 0.95)
    assert findings(ImageproofError, lambda: search(spec, train_all, trials=1, seeds=3)) == failure
    enqueue(spec, 0.5)
    search(spec, train_all, trials=1, seeds=3)
    enqueue(spec, 0.95)  # also if one of an earlier sweep was complete
    assert findings(ImageproofError, lambda: search(spec, train_all, trials=1, seeds=3)) == failure
    run, *_ = MlflowClient().search_runs([store.connect("digits-sweeps")])
    assert (run.info.run_name, run.info.status) == ("digits/s", "FAILED")


def test_study_of_another_model(spec: Spec) -> None:
    open_study(spec)
    line = finding(UsageError, lambda: open_study(spec.model_copy(update={"model": "cnn"})))
    assert line == "study: 'digits/s' is of mlp, not of cnn"


@pytest.mark.parametrize(
    "change",
    [
        {"splits": {"train": "0" * 32}},
        {"space": {"fit.batch_size": [32, 64]}},
        {"raw": changed(SMALL | {"train.mlp.fit.epochs": 3})},
    ],
)
def test_study_of_another_search(spec: Spec, change: dict[str, Any]) -> None:
    open_study(spec)
    line = finding(UsageError, lambda: open_study(spec.model_copy(update=change)))
    said = "study: 'digits/s' has trials of another space, other data or params"
    assert line == f"{said}; --study names a new one"
    other = {"seed": 9, "raw": {**spec.raw, "seed": 9}}
    assert open_study(spec.model_copy(update=other)).user_attrs["model"] == "mlp"


@pytest.mark.parametrize(
    ("storage", "reason"),
    [
        ("sqlite:////nowhere/at/all.db", "unable to open database file"),
        ("postgresql://me:secret@127.0.0.1:9/optuna", "Connection refused"),
    ],
)
def test_storage_error_hides_password(spec: Spec, storage: str, reason: str) -> None:
    wrong = spec.model_copy(update={"storage": storage})
    line = finding(ServiceError, lambda: open_study(wrong))
    assert line.startswith("Optuna storage of digits/s: ")
    assert reason in line
    assert "secret" not in line


def test_compare_counts_standard_errors() -> None:
    metrics, verdict = compare([0.90, 0.92, 0.94], [0.80, 0.84, 0.82])
    assert metrics["difference"] == pytest.approx(0.10)
    assert metrics["standard_error"] == pytest.approx(math.sqrt(0.0004 / 3 + 0.0004 / 3))
    assert verdict == (
        "val_accuracy 0.9200 against 0.8200 by default: +0.1000, +6.1 standard errors over 3 seeds"
    )


def test_compare_without_spread() -> None:
    assert ", +0.0 standard errors" in compare([0.5] * 3, [0.5] * 3)[1]
    assert ", -inf standard errors" in compare([0.4] * 3, [0.5] * 3)[1]


def test_command_is_quoted_for_shell() -> None:
    values = {"fit.epochs": 3, "build.units": [8, 4, 2], "optimizer.name": "adam"}
    assert command(PARAMS, "mlp", values | {"schedule.warmup": 0.1}) == (
        "dvc exp run -S train.mlp.fit.epochs=3 -S 'train.mlp.build.units=[8, 4, 2]'"
        " -S 'train.mlp.optimizer.name=\"adam\"' -S ++train.mlp.schedule.warmup=0.1"
    )


def test_help_is_whole(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["sweep.py", "mlp", "space.yaml", "--trials", "5"])
    assert sweep._arguments() == {"model": "mlp", "space": "space.yaml", "trials": "5"}
    monkeypatch.setattr(sys, "argv", ["sweep.py", "--help"])
    with pytest.raises(SystemExit, match="0"):
        sweep._arguments()
    said = capsys.readouterr().out
    assert all(name in said.lower() for name in sweep.sweep.parameters.properties)
    assert "[default: 20]" in said


def test_trial_is_read_beside_what_mlflow_prints_of_a_server(
    spec: Spec, project: Path, mlflow_server: Server
) -> None:
    splits = {name: md5(split_path(name)) for name in FITTED_ON}
    own = {"raw": changed(SMALL), "splits": splits, "tracking_uri": mlflow_server.uri}
    accuracy = run(spec.model_copy(update=own | {"values": {}}), print)
    assert accuracy is not None
    assert 0 < accuracy <= 1
