"""`digits crossval`: recipes are judged by images that no training of theirs has seen."""

import re
from pathlib import Path
from typing import Any

import mlflow
import networks
import numpy as np
import pandas as pd
import pytest
from helpers import finding, python
from support import NAME, REPOSITORY, SMALL, context, project_with, write_params

from imageproof.artifacts import WORKSPACE
from imageproof.base.dataset import SPLITS, Dataset, Probabilities, Split, save_split
from imageproof.base.errors import DataError, UsageError
from imageproof.base.files import sha256
from imageproof.cli.labelling import crossval
from imageproof.crossval.folds import QUARTERS, folds_of, would_more_help
from imageproof.crossval.report import CrossValidation, read_sample
from imageproof.mlflow import runs, store


def nearest(data: Dataset, images: Dataset, validation: Dataset | None = None) -> Probabilities:
    """Classes of the most similar images learnt from."""
    learnt = data.images.reshape(len(data), -1).astype(np.float32)
    pixels = images.images.reshape(len(images), -1).astype(np.float32)
    distances = (learnt**2).sum(axis=1) - 2 * pixels @ learnt.T
    answers: Probabilities = np.eye(10, dtype=np.float32)[data.labels[distances.argmin(axis=1)]]
    return answers


def validate(*, curve: bool = False, ask: Any = nearest) -> pd.DataFrame:
    """Judge the nearest neighbours; the table of all images that MLflow gets."""
    sample = read_sample(10)
    project = project_with(SMALL)
    CrossValidation(model="near", ask=ask, sample=sample, folds=3, project=project).run(curve=curve)
    [run] = runs.find("attributes.status = 'FINISHED'", store.connect(f"{NAME}-crossval"))
    path = mlflow.artifacts.download_artifacts(
        run_id=run.info.run_id, artifact_path="predictions.csv"
    )
    return pd.read_csv(path)


@pytest.fixture
def writers(project: Path) -> None:
    """Splits whose rows come from writers of 20 images, each image four times, labels drawn."""
    random = np.random.default_rng(5)
    rows = {"train": 600, "validation": 120, "test": 120, "holdout": 120}
    start = 0
    for part, count in rows.items():
        images = random.integers(256, size=(count // 4, 8, 8), dtype=np.uint8).repeat(4, axis=0)
        labels = random.integers(10, size=count)
        numbers = np.arange(start, start + count)
        save_split(WORKSPACE.split(part), Split(Dataset(images, labels, numbers // 20), numbers))
        start += count


@pytest.mark.usefixtures("writers")
def test_copies_and_groups_of_a_test_train_nothing() -> None:
    sample = read_sample(10)
    data = sample.data
    assert len(data) == 840
    assert set(sample.rows) == {*range(840)}
    assert sample.share == 120 / 720
    tested = []
    for fold in folds_of(data, folds=5, share=sample.share, seed=0):
        numbers = np.concatenate(fold)
        assert sorted(numbers) == [*range(840)]
        assert sample.groups is not None
        writers = [{*sample.groups[rows]} for rows in fold]
        assert not writers[2] & (writers[0] | writers[1])
        assert not writers[0] & writers[1]
        assert 0.1 < len(fold.validation) / 672 < 0.25
        tested += fold.test.tolist()
    assert sorted(tested) == [*range(840)]
    # the labels are drawn, so whoever is right more often has seen the image
    table = validate()
    assert (table["label"] == table["answer"]).mean() < 0.16


@pytest.mark.usefixtures("project")
def test_holdout_is_left_out_and_the_worst_come_first(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = validate(curve=True)
    rows = {part: {*WORKSPACE.read_split(part).rows} for part in SPLITS}
    used = {*read_sample(10).rows}
    assert used == (rows["train"] | rows["validation"] | rows["test"]) - rows["holdout"]
    assert len(table) == len(used)
    right = table["label"] == table["answer"]
    assert right.mean() > 0.95
    assert right.is_monotonic_increasing
    printed = capsys.readouterr().out.splitlines()
    share = f"near: {100 * right.mean():.1f} % of {len(table):,} images right; "
    assert any(line.startswith(f"{share}approximate 95 % interval 9") for line in printed)
    worst = printed.index("near: the worst pictures (rows of data/train, counted from 0):")
    image, label, answer, _ = table.iloc[0]
    assert printed[worst + 1] == f"  {image}: is {label}, called {answer}; {label} got 0.0000"
    [curve] = [line for line in printed if "by share of the images" in line]
    shares = curve.partition("images: ")[2].split(", ")
    assert [share.partition(":")[0] for share in shares] == ["25 %", "50 %", "75 %", "100 %"]
    assert "the last quarter of the images brought" in printed[-1]


def test_fewer_quarters_test_the_same_images(images_8x8: Dataset) -> None:
    data = Dataset(images_8x8.images, images_8x8.labels, np.arange(len(images_8x8)))
    folds = {
        quarters: [*folds_of(data, folds=4, share=0.2, seed=1, quarters=quarters)]
        for quarters in range(1, QUARTERS + 1)
    }
    for number, whole in enumerate(folds[QUARTERS]):
        learning = [*whole.train, *whole.validation]
        for quarters in range(1, QUARTERS):
            fold = folds[quarters][number]
            assert fold.test.tolist() == whole.test.tolist()
            fewer = {*fold.train, *fold.validation}
            assert fewer < {*learning}
            assert abs(len(fewer) / len(learning) - quarters / QUARTERS) < 0.02


def test_more_images_help_only_beyond_chance() -> None:
    labels = np.zeros(200, np.int64)
    few = np.arange(200) % 2  # half of them right
    assert would_more_help(few, few, labels, None) == (
        "the last quarter of the images brought +0.0 points, which may be chance: "
        "more of the kind may not help"
    )
    assert would_more_help(labels, few, labels, None).endswith(
        "brought +50.0 points: more images will probably help"
    )
    worse = would_more_help(few, labels, labels, None)
    assert worse.endswith("-50.0 points: more images will hardly help")
    # two writers are no evidence
    assert "may be chance" in would_more_help(labels, few, labels, np.arange(200) // 100)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_commands_of_the_page_rate_recipes_of_two_frameworks(project: Path) -> None:
    backbone = networks.write_standin()
    changes = {"backbone": "standin", "backbone_sha256": sha256(backbone)}
    features = {f"train.features.{key}": value for key, value in changes.items()}
    write_params(SMALL | features | {"train.compact.fit.epochs": 8})
    page = (REPOSITORY / "docs/how-to/few-photos.md").read_text("utf-8")
    commands = [text.split() for text in re.findall(r"```sh\n(.*?)```", page, re.S)]
    assert [words[:2] for words in commands] == [["digits", "crossval"]] * 2
    lines = []
    for _, *arguments in commands:
        done = python("-c", "from digits.project import main; main()", *arguments, timeout=400)
        assert done.returncode == 0, done.stderr
        lines += done.stdout.splitlines()
    assert sum(" fold 5/5: " in line for line in lines) == 2 + QUARTERS
    assert "the last quarter of the images brought" in lines[-1]
    hits = runs.find("attributes.status = 'FINISHED'", store.connect(f"{NAME}-crossval"), limit=9)
    metrics = [(run.info.run_name, run.data.metrics) for run in hits]
    assert sorted(name for name, _ in metrics) == ["compact", "features", "features"]
    for _, figures in metrics:  # more than a guess at ten classes
        assert 0.1 < figures["accuracy_lower"] < figures["accuracy"] < figures["accuracy_upper"]
    assert [*mlflow.MlflowClient().search_registered_models()] == []


@pytest.mark.usefixtures("project")
def test_what_cannot_be_validated_is_a_line() -> None:
    line = finding(UsageError, lambda: crossval(context(), ["nosuch"]))
    assert line == "params.yaml models: 'nosuch' has no block train.nosuch"
    many = CrossValidation(
        model="near", ask=nearest, sample=read_sample(10), folds=999, project=project_with(SMALL)
    )
    line = finding(DataError, lambda: many.run(curve=False))
    assert line.startswith("class 0 has 1")
    assert line.endswith("--folds is 999; ask for fewer folds, or add images")
    WORKSPACE.split("test").unlink()
    line = finding(DataError, lambda: read_sample(10))
    assert line == "artifacts/split/test.npz: not found; `dvc repro split` makes it"
