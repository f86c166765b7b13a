"""Labels that are probably wrong: folds without copies, and flipped labels that are found."""

from pathlib import Path

import numpy as np
from helpers import finding
from sklearn.neighbors import KNeighborsClassifier

from imageproof.base.connected import check_folds, divided
from imageproof.base.dataset import Dataset, Probabilities, fingerprints
from imageproof.base.errors import DataError
from imageproof.judge.suspects import out_of_fold, suspects


def test_folds_have_all_classes_alike_and_no_image_in_two(images_8x8: Dataset) -> None:
    data = images_8x8.take(np.r_[0:1797, 0:100, 0:1797:7])
    hashes = fingerprints(data.images)
    copies = np.unique(hashes, return_inverse=True)[1]
    fold = divided(data.labels, copies, 5, seed=1)
    shares = [np.bincount(data.labels[fold == k], minlength=10) for k in range(5)]
    assert np.ptp(shares, axis=0).max() < 25  # copies of about 180 · 1.2 / 5 = 43 go together
    assert len({*zip(hashes, fold.tolist(), strict=True)}) == 1797
    np.testing.assert_array_equal(fold, divided(data.labels, copies, 5, seed=1))
    assert (fold != divided(data.labels, copies, 5, seed=2)).mean() > 0.5


def test_a_class_of_fewer_images_than_folds_is_one_line() -> None:
    labels, copies = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 1, 2, 3, 4, 4])
    line = finding(
        DataError,
        lambda: check_folds(Dataset(np.zeros((6, 1, 1), np.uint8), labels, copies), "ab", 3),
    )
    assert line.startswith("class b has 2 groups or different images, --folds is 3; ask for fewer")


def test_flipped_labels_are_named_first_by_models_that_have_not_seen_them(
    images_8x8: Dataset, tmp_path: Path
) -> None:
    rng = np.random.default_rng(32)
    labels, flipped = images_8x8.labels.copy(), rng.permutation(1797)[:54]
    labels[flipped] = (labels[flipped] + rng.integers(1, 10, 54)) % 10
    data = Dataset(images_8x8.images, labels)

    def ask(others: Dataset, own: Dataset) -> Probabilities:
        assert {*fingerprints(others.images)}.isdisjoint(fingerprints(own.images))
        model = KNeighborsClassifier(20, weights="distance").fit(
            others.images.reshape(-1, 64), others.labels
        )
        return np.float32(model.predict_proba(own.images.reshape(-1, 64)))

    fold = divided(labels, np.arange(1797), 4, seed=0)
    probabilities = np.full((1797, 10), np.nan, np.float32)
    for rows, answers in out_of_fold(data, fold, ask, folder=tmp_path):
        probabilities[rows] = answers
    found, count = suspects(labels, probabilities)
    named = found["row"].to_numpy()
    assert np.isin(named[:54], flipped).mean() > 0.9
    assert np.isin(flipped, named).mean() > 0.95
    assert 40 <= count <= 54 < len(named)
    right = found["suggested"] == images_8x8.labels[named]
    assert right[np.isin(named, flipped)].mean() > 0.95
    assert found["quality"].is_monotonic_increasing
    found, count = suspects(labels, np.eye(10, dtype=np.float32)[labels])
    assert (len(found), count) == (0, 0)
