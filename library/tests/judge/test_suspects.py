"""Labels that are probably wrong: folds without copies, and flipped labels that are found."""

import numpy as np
from helpers import finding
from sklearn.neighbors import KNeighborsClassifier

from imageproof.base._connected import check_folds, divided
from imageproof.base._dataset import Dataset, fingerprints
from imageproof.base.errors import DataError
from imageproof.judge.suspects import out_of_fold, suspects


def test_folds_have_all_classes_alike_and_no_image_in_two(images_8x8):
    data = images_8x8.take(np.r_[0:1797, 0:100, 0:1797:7])
    hashes = fingerprints(data.images)
    copies = np.unique(hashes, return_inverse=True)[1]
    fold = divided(data.labels, copies, 5, seed=1)
    shares = [np.bincount(data.labels[fold == k], minlength=10) for k in range(5)]
    assert np.ptp(shares, axis=0).max() < 25  # copies of about 180 · 1.2 / 5 = 43 go together
    assert len({*zip(hashes, fold.tolist(), strict=True)}) == 1797
    assert (fold != divided(data.labels, copies, 5, seed=2)).mean() > 0.5


def test_class_of_fewer_images_than_folds_is_one_line():
    labels, copies = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 1, 2, 3, 4, 4])
    data = Dataset(np.zeros((6, 1, 1), np.uint8), labels, copies)
    line = finding(DataError, lambda: check_folds(data, "ab", 3))
    assert line.startswith("class b has 2 groups or different images, --folds is 3; ask for fewer")


def test_flipped_labels_are_named_first(images_8x8, tmp_path):
    rng = np.random.default_rng(32)
    labels, flipped = images_8x8.labels.copy(), rng.permutation(1797)[:54]
    labels[flipped] = (labels[flipped] + rng.integers(1, 10, 54)) % 10

    def ask(data, images):
        assert {*fingerprints(data.images)}.isdisjoint(fingerprints(images.images))
        model = KNeighborsClassifier(20, weights="distance").fit(
            data.images.reshape(-1, 64), data.labels
        )
        return model.predict_proba(images.images.reshape(-1, 64))

    fold = divided(labels, np.arange(1797), 4, seed=0)
    probabilities = np.full((1797, 10), np.nan, np.float32)
    for rows, answers in out_of_fold(
        Dataset(images_8x8.images, labels), fold, ask, folder=tmp_path
    ):
        probabilities[rows] = answers
    table, count = suspects(labels, probabilities)
    named = table["row"].to_numpy()
    assert np.isin(named[:54], flipped).mean() > 0.9
    assert 40 <= count <= 54 < len(named)
    right = table["suggested"] == images_8x8.labels[named]
    assert right[np.isin(named, flipped)].mean() > 0.95
    assert table["quality"].is_monotonic_increasing
