"""The space of a sweep: what may be written in it, and what is proposed from it."""

from pathlib import Path
from typing import Any

import optuna
import pytest
from support import PARAMS, REPOSITORY, finding

from digits import params
from digits.sweep.trial import override, propose, read_space
from imageproof.base.errors import UsageError


def space_of(tmp_path: Path, text: str) -> Any:
    path = tmp_path / "space.yaml"
    path.write_text(text)
    return read_space(path, model="mlp", raw=PARAMS)


def test_space_proposes_ranges_and_choices(tmp_path: Path) -> None:
    space = space_of(
        tmp_path,
        "optimizer.learning_rate: {low: 1e-4, high: 0.1, log: true}\n"
        "fit.batch_size: {low: 32, high: 128, step: 32}\n"
        "optimizer.name: [adam, sgd]\n"
        "build.units: [[512, 256, 64], [128, 64, 32]]\n"
        "fit.class_weights: [null, balanced]\n",
    )
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = [propose(study.ask(), space) for _ in range(30)]
    assert all(0.0001 <= values["optimizer.learning_rate"] <= 0.1 for values in drawn)
    assert {values["fit.batch_size"] for values in drawn} == {32, 64, 96, 128}
    assert {values["optimizer.name"] for values in drawn} == {"adam", "sgd"}
    assert {tuple(values["build.units"]) for values in drawn} == {(512, 256, 64), (128, 64, 32)}
    assert {values["fit.class_weights"] for values in drawn} == {None, "balanced"}  # left out there
    for values in drawn:
        params.check(override(PARAMS, "mlp", values))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fit.epoch: [1, 2]", "params.yaml train.mlp.fit.epoch: unknown key"),
        ("fit.epochs: [1, many]", "train.mlp.fit.epochs: 'many': "),
        ("fit.epochs: {low: 0, high: 5}", "train.mlp.fit.epochs: 0: "),
        ("fit.epochs: {low: 5, high: 1}", "fit.epochs: `low <= high` must hold"),
        ("fit.epochs: {low: 1}", "missing 1 required positional argument: 'high'"),
        ("fit.epochs: 3", "fit.epochs: 3 is neither a range nor a list; allowed is"),
        ("- fit.epochs", "names no key of train.mlp"),
    ],
)
def test_space_refuses_bad_entries(tmp_path: Path, text: str, message: str) -> None:
    line = finding(UsageError, lambda: space_of(tmp_path, text))
    assert message in line
    assert "space.yaml" in line


def test_space_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.yaml: No such file or directory"):
        read_space(tmp_path / "none.yaml", model="mlp", raw=PARAMS)


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_spaces_of_repository(model: str) -> None:
    path = REPOSITORY / "spaces" / f"{model}.yaml"
    assert read_space(path, model=model, raw=PARAMS)
