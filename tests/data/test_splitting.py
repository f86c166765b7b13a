"""How rows are drawn and split: exact counts, seeded, disjoint, and honest about overlaps."""

import json
import re
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.datasets import load_digits
from support import as_packed

from imageproof.base.dataset import Dataset, RawData, Split
from imageproof.base.errors import DataError
from imageproof.data import splitting
from imageproof.data.splitting import SplitParams, sample

KAGGLE_COUNTS = [4132, 4684, 4177, 4351, 4072, 3795, 4137, 4401, 4063, 4188]
TRAIN_COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
SPLITS = ["train", "validation", "test", "holdout"]


def params(**changed: Any) -> SplitParams:
    values = {
        "method": "official",
        "official": {"validation": 0.1, "holdout": 0.1},
        "stratified": {"test": 0.2, "holdout": 0.2, "validation": 0.2},
        "holdout_within_test": False,
        "copies": "keep",
        "group": None,
    }
    return SplitParams(**{**values, **changed})


def split(raw: RawData, **asked: Any) -> dict[str, Split]:
    packed = as_packed(raw)
    data = Dataset(packed.images, packed.rows["label"].to_numpy())
    parts = splitting.split(packed.rows, **asked)
    return {name: Split(data.take(rows), rows) for name, rows in parts.items()}


def summarise_splits(splits: dict[str, Split], raw: RawData) -> dict[str, Any]:
    rows = {name: part.rows for name, part in splits.items()}
    return splitting.summarise_splits(rows, as_packed(raw).rows)


def of_counts(counts: list[int]) -> Dataset:
    """As many rows per class, all images different."""
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    pixels = np.arange(len(labels), dtype="<u4").view(np.uint8)
    return Dataset(pixels.reshape(-1, 2, 2), labels)


def real_digits() -> RawData:
    """The 8x8 images, every third row as official test part."""
    images, labels = load_digits().images.astype(np.uint8), load_digits().target.astype(np.int64)
    held_out = np.arange(len(labels)) % 3 == 0
    return RawData(
        Dataset(images[~held_out], labels[~held_out]), Dataset(images[held_out], labels[held_out])
    )


def counts(dataset: Dataset) -> list[int]:
    return np.bincount(dataset.labels).tolist()


def test_official_sizes_are_exact() -> None:
    raw = RawData(of_counts(TRAIN_COUNTS), of_counts([1000] * 10))
    splits = split(raw, percent=100, params=params(), seed=1)
    assert [len(splits[name].rows) for name in SPLITS] == [48_000, 6_000, 10_000, 6_000]
    for name in ("validation", "holdout"):
        carved = np.array(counts(splits[name].data))
        assert np.abs(carved - np.array(TRAIN_COUNTS) / 10).max() < 1


def test_official_test_part_is_the_test_split() -> None:
    raw = real_digits()
    splits = split(raw, percent=100, params=params(), seed=1)
    assert raw.test is not None
    np.testing.assert_array_equal(splits["test"].data.images, raw.test.images)
    np.testing.assert_array_equal(splits["test"].rows, len(raw.train) + np.arange(len(raw.test)))
    assert all(splits[name].rows.max() < len(raw.train) for name in SPLITS if name != "test")


def test_official_without_a_test_part_is_refused() -> None:
    raw = RawData(of_counts([50, 50]), None)
    with pytest.raises(DataError, match="no official test part"):
        split(raw, percent=100, params=params(), seed=1)


@pytest.mark.parametrize(("within", "test_rows"), [(False, 8_396 - 1_676), (True, 8_396)])
def test_stratified_rounds_up_per_class_as_caret_does(within: bool, test_rows: int) -> None:
    raw = RawData(of_counts(KAGGLE_COUNTS), None)
    chosen = params(method="stratified", holdout_within_test=within)
    splits = split(raw, percent=100, params=chosen, seed=1)
    learning = np.concatenate([splits["train"].rows, splits["validation"].rows])
    held_out = np.union1d(splits["test"].rows, splits["holdout"].rows)
    assert len(learning) == 33_604
    assert np.bincount(raw.train.labels[learning]).tolist() == [
        -(-4 * count // 5) for count in KAGGLE_COUNTS
    ]
    assert len(held_out) == 8_396
    assert len(splits["test"].rows) == test_rows
    assert len(splits["holdout"].rows) == 1_676


@pytest.mark.parametrize("method", ["official", "stratified"])
def test_every_row_is_in_one_split_and_leads_back_to_its_image(method: str) -> None:
    raw = real_digits()
    assert raw.test is not None
    splits = split(raw, percent=100, params=params(method=method), seed=1)
    rows = np.concatenate([splits[name].rows for name in SPLITS])
    np.testing.assert_array_equal(np.sort(rows[rows < len(raw.train)]), np.arange(len(raw.train)))
    images = np.concatenate([raw.train.images, raw.test.images])
    labels = np.concatenate([raw.train.labels, raw.test.labels])
    for part in splits.values():
        np.testing.assert_array_equal(part.data.images, images[part.rows])
        np.testing.assert_array_equal(part.data.labels, labels[part.rows])


def test_the_same_seed_gives_the_same_splits_and_another_seed_others() -> None:
    raw = real_digits()
    first, again, other = (split(raw, percent=50, params=params(), seed=seed) for seed in (7, 7, 8))
    for name in SPLITS:
        np.testing.assert_array_equal(first[name].rows, again[name].rows)
        assert not np.array_equal(first[name].rows, other[name].rows)
    ascending = {name: bool((np.diff(first[name].rows) > 0).all()) for name in SPLITS}
    assert ascending == {"train": False, "validation": True, "test": True, "holdout": True}


@pytest.mark.parametrize(
    ("percent", "drawn"),
    [(100, [100, 301, 7]), (50, [50, 151, 4]), (7, [7, 22, 1])],
)
def test_percent_draws_that_part_of_each_class_rounded_up(percent: float, drawn: list[int]) -> None:
    dataset = of_counts([100, 301, 7])
    labels, rows = dataset.labels, np.arange(len(dataset))
    assert counts(dataset.take(sample(labels, rows, percent, seed=1))) == drawn
    assert set(sample(labels, rows, 10, seed=1)) < set(sample(labels, rows, 40, seed=1))


def test_percent_reduces_both_official_parts() -> None:
    raw = RawData(of_counts([500, 300]), of_counts([100, 200]))
    splits = split(raw, percent=10, params=params(), seed=1)
    assert counts(splits["test"].data) == [10, 20]
    assert sum(len(splits[name].rows) for name in SPLITS if name != "test") == 80


@pytest.mark.parametrize("method", ["official", "stratified"])
def test_a_class_too_small_for_every_split_is_named(method: str) -> None:
    raw = RawData(of_counts([200, 3, 200, 2]), of_counts([50, 50, 50, 50]))
    with pytest.raises(DataError) as caught:
        split(raw, percent=100, params=params(method=method), seed=1)
    assert re.search("(test|holdout|validation) gets no row of class 1, 3; ", str(caught.value))
    assert str(caught.value).endswith(f"add rows of it, or raise the shares of split.{method}")
    with pytest.raises(DataError, match=r"or raise data\.percent$"):
        split(raw, percent=50, params=params(method=method), seed=1)


def with_copies() -> Dataset:
    """400 images, of which the first 100 stand there three times."""
    once = of_counts([250, 150])
    return once.take(np.concatenate([np.arange(400), np.arange(100), np.arange(100)]))


def test_copies_of_training_rows_are_counted() -> None:
    raw = RawData(with_copies(), None)
    splits = split(raw, percent=100, params=params(method="stratified"), seed=1)
    trained = {image.tobytes() for image in splits["train"].data.images}
    found = summarise_splits(splits, raw)["copies"]
    for name in SPLITS[1:]:
        images = splits[name].data.images
        assert found[name] == sum(image.tobytes() in trained for image in images) > 0


def test_copies_dropped_leaves_each_image_once() -> None:
    data = with_copies()
    raw, chosen = RawData(data, data.take(np.arange(390, 400))), params(copies="drop")
    for each, test_rows in ((chosen, 0), (params(method="stratified", copies="drop"), 64)):
        if test_rows:
            splits = split(raw, percent=100, params=each, seed=1)
            images = np.concatenate([splits[name].data.images for name in SPLITS])
            assert len(images) == len(np.unique(images, axis=0)) == 400
            assert len(splits["test"].rows) == test_rows
        else:  # all test rows are copies
            with pytest.raises(DataError, match="test gets no row of class"):
                split(raw, percent=100, params=each, seed=1)


def test_copies_together_are_in_one_split() -> None:
    raw = RawData(with_copies(), None)
    chosen = params(method="stratified", copies="together")
    splits = split(raw, percent=100, params=chosen, seed=1)
    assert sorted(np.concatenate([splits[name].rows for name in SPLITS])) == [*range(600)]
    assert {*summarise_splits(splits, raw)["copies"].values()} == {0}
    assert (np.diff(splits["train"].rows) < 0).any()  # in random order


def test_the_summary_as_json() -> None:
    raw = RawData(of_counts([500, 300]), None)
    report = summarise_splits(
        split(raw, percent=100, params=params(method="stratified"), seed=1), raw
    )
    assert json.loads(json.dumps(report)) == report
    assert report["rows"] == {"train": 512, "validation": 128, "test": 128, "holdout": 32}
    assert report["class_counts"]["train"] == {"0": 320, "1": 192}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"stratified": {"test": 1.0, "holdout": 0.2, "validation": 0.2}}, "less than 1"),
        ({"holdout_within_test": True}, "needs method: stratified"),
        ({"copies": "together"}, "needs method: stratified"),
    ],
)
def test_values_out_of_range_are_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        params(**changed)
