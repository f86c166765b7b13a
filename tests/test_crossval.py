"""`digits crossval`: recipes are judged by images that no training of theirs has seen."""

import re

import networks
import numpy as np
import pandas as pd
import pytest
from helpers import finding
from sklearn.neighbors import KNeighborsClassifier
from support import NAME, REPOSITORY, SMALL, context, project_with, write_params
from typer.main import get_command

from imageproof.artifacts import WORKSPACE
from imageproof.base._dataset import Dataset, Split, fingerprints, save_split
from imageproof.base.errors import DataError
from imageproof.base.files import sha256
from imageproof.cli import program
from imageproof.crossval._report import (
    QUARTERS,
    CrossValidation,
    Sample,
    read_sample,
    would_more_help,
)
from imageproof.mlflow import _runs, _store


def nearest(data, images):
    """Classes of the most similar images learnt from."""
    model = KNeighborsClassifier(1).fit(data.images.reshape(len(data), -1), data.labels)
    return np.eye(10, dtype=np.float32)[model.predict(images.images.reshape(len(images), -1))]


def validation_of(sample, folds=3):
    def ask(train, images, validation):
        if len(train) + len(validation) > 0.6 * len(sample.rows):
            return nearest(train, images)
        return np.eye(10, dtype=np.float32)[np.zeros(len(images), int)]

    project = project_with(SMALL)
    return CrossValidation(model="near", ask=ask, sample=sample, folds=folds, project=project)


@pytest.mark.usefixtures("workspace")
def test_copies_and_groups_of_a_test_train_nothing():
    """Rows come from writers of 20 images, each image four times."""
    random = np.random.default_rng(5)
    images = random.integers(256, size=(210, 8, 8), dtype=np.uint8).repeat(4, axis=0)
    images[700] = images[100]  # of another writer
    labels = random.integers(10, size=840)
    data = Dataset(images, labels, np.arange(840) // 20)
    parts = np.split(np.arange(840), [60, 120, 240])
    for part, rows in zip(("holdout", "test", "validation", "train"), parts, strict=True):
        save_split(WORKSPACE.split(part), Split(data.take(rows), rows))
    sample = read_sample(10)
    assert sample.rows.tolist() == [*range(60, 840)]
    assert sample.data.labels.tolist() == labels[60:].tolist()
    assert sample.groups.tolist() == data.groups[60:].tolist()
    assert sample.share == 120 / 720
    pictures = np.array(fingerprints(sample.data.images))
    rating = validation_of(sample, folds=5)
    tested = []
    for smaller, fold in zip(rating.folds_of(2), rating.folds_of(QUARTERS), strict=True):
        learning = np.concatenate(fold[:2])
        assert sorted([*learning, *fold.test]) == [*range(780)]
        for values in (sample.groups, pictures):
            parts = [{*values[rows]} for rows in fold]
            assert sum(map(len, parts)) == len(set.union(*parts))
        assert 0.1 < len(fold.validation) / 624 < 0.3
        tested += fold.test.tolist()
        fewer = np.concatenate(smaller[:2])
        assert {*fewer} < {*learning}
        assert 0.4 < len(fewer) / len(learning) < 0.6
        assert smaller.test.tolist() == fold.test.tolist()
    assert sorted(tested) == [*range(780)]


@pytest.mark.usefixtures("project")
def test_worst_pictures_come_first(capsys):
    sample = read_sample(10)
    sample = sample._replace(groups=np.arange(len(sample.rows)) % 2)  # which make it uncertain
    validation_of(sample).run(curve=True)
    [run] = _runs.find("attributes.status = 'FINISHED'", _store.connect(f"{NAME}-crossval"))
    table = pd.read_csv(f"{run.info.artifact_uri}/predictions.csv")
    right = table["label"] == table["answer"]
    assert right.mean() > 0.95
    assert right.is_monotonic_increasing
    assert run.data.metrics["accuracy"] == right.mean()
    image, label, answer, _ = table.iloc[0]
    printed = capsys.readouterr().out
    for text in (
        f"near: {100 * right.mean():.2f} % of {len(table):,} images right; ",
        f"from 0):\n  {image}: is {label}, called {answer}; {label} got 0.0000\n",
        " quarter of the images brought +",
    ):
        assert text in printed
    assert re.search(r"interval [5-8]\d\.\d\d to 99\.\d\d %", printed)


def test_more_images_help_only_beyond_chance():
    labels = np.zeros(200, np.int64)
    half = np.arange(200) % 2  # half of them right
    for more, fewer, end in (
        (half, half, "+0.00 points, which may be chance: more of the kind may not help"),
        (labels, half, "+50.00 points: more images will probably help"),
        (half, labels, "-50.00 points: more images will hardly help"),
    ):
        assert would_more_help(more, fewer, labels, None).endswith(end)
    # two writers are no evidence
    assert "may be chance" in would_more_help(labels, half, labels, np.arange(200) // 100)


@pytest.mark.slow
@pytest.mark.usefixtures("project", "tensorflow")
def test_commands_of_the_page_rate_recipes_of_two_frameworks(capsys):
    digest = {"train.features.backbone_sha256": sha256(networks.write_standin())}
    backbone = digest | {"train.features.backbone": "standin"}
    write_params(SMALL | backbone | {"train.compact.fit.epochs": 8})
    page = (REPOSITORY / "docs/how-to/few-photos.md").read_text("utf-8")
    command = get_command(program.app)
    for words in re.findall(r"```sh\ndigits (crossval .*?)```", page, re.S):  # with fewer folds
        command([*words.split(), "--folds", "2"], obj=context().obj, standalone_mode=False)
    assert capsys.readouterr().out.count(" fold 2/2: ") == 2 + QUARTERS
    hits = _runs.find("attributes.status = 'FINISHED'", _store.connect(f"{NAME}-crossval"), limit=9)
    assert sorted(run.info.run_name for run in hits) == ["compact", "features", "features"]
    # more than a guess at ten classes
    assert min(run.data.metrics["accuracy_lower"] for run in hits) > 0.1


@pytest.mark.usefixtures("project")
def test_what_cannot_be_rated_is_a_line_before_any_fold(capsys):
    rows = np.arange(50)
    small = Sample(Dataset(np.zeros((50, 8, 8), np.uint8), rows % 10, rows), rows, None, 0.2)
    rating = validation_of(small, folds=5)
    line = finding(DataError, lambda: rating.run(curve=True))
    assert line.startswith("class 0 has too few images: of 25 % of them a fold learns nothing; ")
    line = finding(DataError, lambda: validation_of(small, folds=6).run(curve=False))
    assert re.match("class 0 has 5.*--folds is 6; ask for fewer folds, or add images$", line)
    pd.read_parquet(WORKSPACE.packed_rows)[1:].to_parquet(WORKSPACE.packed_rows)
    line = finding(DataError, lambda: rating.run(curve=False))
    assert line == "artifacts/pack: has other images than were split; type `dvc repro split` before"
    assert capsys.readouterr().out == ""
