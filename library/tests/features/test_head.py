"""The linear classifier of features, and the choice of its strength; copies are never parted."""

import re
import shutil

import networks
import numpy as np
import pytest
from helpers import finding
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from imageproof.base._connected import divided, together
from imageproof.base._dataset import Dataset
from imageproof.base.errors import DataError
from imageproof.base.files import sha256
from imageproof.features._baseline import fit_baseline
from imageproof.features._cache import FOLDER
from imageproof.features.head import (
    Rowset,
    Settings,
    choose_c,
    fit_head,
    predict,
)
from imageproof.features.train import Options, check_classes, fit_features

RANDOM = np.random.default_rng(5)


def rows(classes, *, count=240, noise=2.0, width=12):
    labels = np.arange(count) % classes
    centres = np.random.default_rng(classes).normal(size=(classes, width))
    features = 3 + 5 * (centres[labels] + noise * RANDOM.normal(size=(count, width)))
    return Rowset(features[np.newaxis].astype(np.float32), labels, np.arange(count))


@pytest.mark.parametrize(("classes", "weights"), [(2, {1: 3.0}), (5, "balanced"), (5, None)])
def test_head_is_scikit_learns_classifier(classes, weights):
    data = rows(classes)
    head = fit_head(data, 0.1, Settings(classes, weights, 0))  # type: ignore[arg-type]
    model = LogisticRegression(C=0.1, max_iter=1000, class_weight=weights)
    expected = make_pipeline(StandardScaler(), model).fit(data.views[0], data.labels)
    probabilities = expected.predict_proba(data.views[0])
    assert np.allclose(predict(head, data.views[0]), probabilities, atol=2e-3)


def test_class_without_rows_gets_no_chance():
    data = rows(2)
    for labels in (2 * data.labels, 0 * data.labels):  # of two classes, and of one
        head = fit_head(data._replace(labels=labels), 1.0, Settings(4, None, 0))
        probabilities = predict(head, data.views[0])
        assert not probabilities[:, [1, 3]].any()
        assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-6)


def test_mirrored_rows_stay_with_their_original():
    """Folds that parted them would hold out what they were fitted to."""
    data = rows(4, noise=30.0, count=80, width=200)
    twice = data._replace(views=np.concatenate([data.views, data.views]))
    for rowset in (data, twice):
        losses = choose_c(rowset, [0.01, 1.0], Settings(4, None, 0), folds=4).losses
        assert losses[1.0] > 1.2  # of four classes that cannot be told apart, ln 4 is 1.39


def test_too_few_rows_for_folds_take_the_smallest_c():
    one_group = rows(3)._replace(groups=np.zeros(240, np.int64))
    three = Settings(3, None, 0)
    for data in (rows(3, count=3), one_group):
        assert choose_c(data, [1.0, 0.1], three, folds=5) == (0.1, {})
    three_of_each_class = rows(3, count=9)
    assert [*choose_c(three_of_each_class, [1.0, 0.1], three, folds=5).losses] == [0.1, 1.0]


@pytest.fixture
def copied():
    """Each of 60 images in two groups of its own, with a class by chance: none can be learnt."""
    random = np.random.default_rng(1)
    images = random.integers(256, size=(60, 8, 8, 3), dtype=np.uint8)
    labels = random.integers(2, size=60)
    return Dataset(np.concatenate([images] * 2), np.tile(labels, 2), np.arange(120))


def test_groups_that_share_an_image_are_one():
    images = RANDOM.integers(256, size=(5, 4, 4), dtype=np.uint8)
    images[3] = images[0]
    labels = np.zeros(5, np.int64)
    assert len({*together(Dataset(images, labels))}) == 4
    *joined, last = together(Dataset(images, labels, np.array([0, 0, 1, 1, 2])))
    assert len({*joined}) == 1
    assert last not in joined


@pytest.mark.parametrize("count", [11, 400])
def test_folds_are_as_many_as_a_class_has_writers(count):
    rows = np.arange(count)
    writers = rows % 6
    labels = np.where(rows < 6, rows, 5)  # the first image of each writer is of another class
    fold = divided(labels, writers, 5, seed=0)
    assert all(len({*fold[writers == writer]}) == 1 for writer in range(6))
    assert {*fold.tolist()} == {*range(5)}


def test_baseline_does_not_part_copies_in_groups(copied):
    accuracies = fit_baseline(copied, classes=2, seed=0).accuracies
    assert max(accuracies.values()) < 0.75  # who knows the copy is right on all


def test_choice_of_c_does_not_part_copies_and_asks_for_an_image_once(workspace, copied, capsys):
    path = networks.write_standin()

    def fit(*, mirror=False):
        """The chosen C, and the bytes of the model."""
        options = Options("standin", sha256(path), [1e-5, 1e3], mirror)
        fitted = fit_features(options, copied, copied, settings=Settings(2, None, 0), threads=1)
        return fitted.metrics["c"], fitted.network(temperature=1.0).SerializeToString()

    first = fit()
    shutil.rmtree(FOLDER)  # costs only time
    again = fit()
    assert first[0] == 1e-5
    assert first == again == fit() != fit(mirror=True)
    printed = capsys.readouterr().out
    numbers = re.findall(r"standin: asked for (\d+) of (\d+) images", printed)
    assert numbers == [("60", "240"), ("60", "240"), ("0", "240"), ("60", "360")]


def test_class_without_training_row_is_named():
    line = finding(DataError, check_classes, np.array([0, 2]), 3)
    assert line.startswith("artifacts/split/train.npz: class 1 has no training row; add pictures")
