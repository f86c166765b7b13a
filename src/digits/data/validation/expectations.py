"""Checks of the raw data by Great Expectations, on data frames of its images and classes."""

import warnings
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import pandas as pd

with warnings.catch_warnings():
    # Great Expectations imports sre_constants, which Python 3.11 deprecates
    warnings.simplefilter("ignore", DeprecationWarning)
    import great_expectations as gx
    import great_expectations.expectations as gxe

from digits.core.dataset import Dataset, RawData, fingerprints
from digits.data.validation.validate import (
    SHOWN_ROWS,
    Check,
    Result,
    ValidateParams,
    Words,
    finding,
    usual_ranges,
)

Between, InSet = gxe.ExpectColumnValuesToBeBetween, gxe.ExpectColumnValuesToBeInSet
Null, NotNull = gxe.ExpectColumnValuesToBeNull, gxe.ExpectColumnValuesToNotBeNull
Unit = Literal["row", "class"]


def validate(raw: RawData, *, params: ValidateParams, classes: int) -> Result:
    """Check the training part and, if there is one, the official test part.

    Critical: labels are 0…classes-1, every class is present, pixels are 0…255, nothing is
    missing, all images have one shape, the training part has `min_rows`. Warnings: class
    shares, blank images, duplicates, images in both parts, mean ink.
    """
    images = raw_frame(raw)
    shape = images["shape"].iloc[0]
    checks, summary = [], {}
    for part, rows in images.groupby("part", sort=False):
        of_images = [*_possible(shape, classes), *_usual(params), _of_part(str(part), params)]
        checks += _check(rows, of_images, unit="row")
        checks += _check(class_frame(rows, classes), _of_classes(params), unit="class")
        summary[str(part)] = _summary(rows, classes)
    return Result(summary, checks)


def raw_frame(raw: RawData) -> pd.DataFrame:
    """One row per image of the training part, then of the official test part.

    Columns: part (`train` or `test`), row (in its part, from 0), label, shape (`28x28`),
    min_pixel and max_pixel (missing if any pixel is missing), mean_ink (mean grey value),
    contrast (max_pixel - min_pixel), duplicate_of (the first row of the same part with equal
    pixels; missing for that row itself), same_as_train (for a test row, the training row with
    equal pixels; missing if there is none).
    """
    frames = [_part_frame("train", raw.train, {})]
    if raw.test is not None:
        first_in_train = _first_rows(fingerprints(raw.train.images))
        frames.append(_part_frame("test", raw.test, first_in_train))
    return pd.concat(frames, ignore_index=True)


def class_frame(rows: pd.DataFrame, classes: int) -> pd.DataFrame:
    """One row per class 0…classes-1 of one part: part, class, rows, and relative_share.

    relative_share is the class's share of the part's rows times `classes`: 1 if all classes
    are equally frequent, missing if the class has no rows.
    """
    counts = np.array([int((rows["label"] == label).sum()) for label in range(classes)])
    share = pd.Series(counts * float(classes) / len(rows)).where(counts > 0).round(4)
    columns = {"part": rows["part"].iloc[0], "class": range(classes), "rows": counts}
    return pd.DataFrame(columns | {"relative_share": share})


def _summary(rows: pd.DataFrame, classes: int) -> dict[str, Any]:
    """Counts and mean ink of one part, ready for JSON."""
    return {
        "rows": len(rows),
        "shapes": sorted(rows["shape"].unique().tolist()),
        "class_counts": {str(c): int((rows["label"] == c).sum()) for c in range(classes)},
        "mean_ink": round(float(rows["mean_ink"].mean()), 4),
        "blank_images": int((rows["contrast"] == 0).sum()),
        "duplicate_images": int(rows["duplicate_of"].notna().sum()),
        "images_also_in_train": int(rows["same_as_train"].notna().sum()),
    }


def _of_part(part: str, params: ValidateParams) -> Any:
    """What is expected of one of the two parts alone."""
    if part == "train":
        rows = gxe.ExpectTableRowCountToBeBetween(min_value=params.min_rows)
        few = f"fewer than {params.min_rows} rows"
        return _critical(rows, few, "add data, or lower validate.min_rows")
    known = Null(column="same_as_train")
    return _warning(known, "image also in train", "the test result will flatter", "as row {}")


def _of_classes(params: ValidateParams) -> list[Any]:
    low, high = 1 - params.class_share_tolerance, 1 + params.class_share_tolerance
    rows = Between(column="rows", min_value=1)
    share = Between(column="relative_share", min_value=low, max_value=high)
    unequal = f"share outside {low:g}…{high:g} times uniform"
    return [
        _critical(rows, "no images", "add images of it, or lower data.classes"),
        _warning(share, unequal, "accuracy will favour the frequent classes", "{} times"),
    ]


def _possible(shape: str, classes: int) -> list[Any]:
    """Critical: what every image and label must be."""
    known = InSet(column="label", value_set=list(range(classes)))
    outside = f"label outside 0…{classes - 1}"
    size, other = InSet(column="shape", value_set=[shape]), f"image size other than {shape}"
    grey = [Between(column=name, min_value=0, max_value=255) for name in ("min_pixel", "max_pixel")]
    whole = ("pixel outside 0…255", "store grey values as whole 0…255", "{}")
    return [
        _critical(NotNull(column="label"), "no label", "remove or mend them"),
        _critical(NotNull(column="min_pixel"), "a missing pixel", "remove or mend them"),
        _critical(known, outside, "mend the labels, or set data.classes", "label {}"),
        *(_critical(each, *whole) for each in grey),
        _critical(size, other, "give all images one size", "{}"),
    ]


def _usual(params: ValidateParams) -> list[Any]:
    """Warnings: what an image that is worth training on looks like."""
    first = Null(column="duplicate_of")
    return [
        *(
            _warning(Between(column=column, min_value=low, max_value=high), *words)
            for column, low, high, words in usual_ranges(params)
        ),
        _warning(first, "image seen before", "copies may end in two splits", "as row {}"),
    ]


def _critical(expectation: Any, *words: str) -> Any:
    """Add the `Words` of a finding."""
    expectation.meta = Words(*words)._asdict()
    return expectation


def _warning(expectation: Any, *words: str) -> Any:
    expectation.severity = "warning"
    return _critical(expectation, *words)


@lru_cache
def _source() -> Any:
    """A source of data frames, in a context without files and progress bars."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    return context.data_sources.add_pandas("digits")


def _check(frame: pd.DataFrame, expectations: list[Any], *, unit: Unit) -> list[Check]:
    """Check a frame of one part; the column `unit` numbers its rows."""
    batch = _source().read_dataframe(frame)
    suite = gx.ExpectationSuite(name=unit, expectations=expectations)
    result_format = {
        "result_format": "SUMMARY",
        "unexpected_index_column_names": [unit],
        "partial_unexpected_count": SHOWN_ROWS,
    }
    results = batch.validate(suite, result_format=result_format).to_json_dict()["results"]
    return [_as_check(frame["part"].iloc[0], unit, result) for result in results]


def _as_check(part: str, unit: Unit, result: dict[str, Any]) -> Check:
    """A check from one of Great Expectations' results."""
    config, details = result["expectation_config"], result["result"]
    failing = [int(entry[unit]) for entry in details.get("partial_unexpected_index_list") or []]
    return Check(
        part=part,
        severity=config["severity"],
        expectation=config["type"],
        column=config["kwargs"].get("column"),
        success=result["success"],
        count=details.get("unexpected_count", 0),
        rows=failing if unit == "row" else [],
        classes=failing if unit == "class" else [],
        message=None if result["success"] else _message(part, unit, config, details),
    )


def _message(part: str, unit: Unit, config: dict[str, Any], details: dict[str, Any]) -> str:
    words = Words(**config["meta"])
    if "observed_value" in details:
        return f"{part}: {words.what}: {details['observed_value']} found; {words.hint}"
    column = config["kwargs"]["column"]
    examples = [(entry[unit], entry[column]) for entry in details["partial_unexpected_index_list"]]
    return finding(part, unit, words, details["unexpected_count"], examples)


def _part_frame(part: str, dataset: Dataset, first_in_train: dict[bytes, int]) -> pd.DataFrame:
    images = dataset.images
    low, high = images.min(axis=(1, 2)), images.max(axis=(1, 2))
    hashes = fingerprints(images)
    first = _first_rows(hashes)
    earlier = [first[key] if first[key] < row else None for row, key in enumerate(hashes)]
    return pd.DataFrame(
        {
            "part": part,
            "row": np.arange(len(dataset)),
            "label": dataset.labels,
            "shape": f"{images.shape[1]}x{images.shape[2]}",
            "min_pixel": low,
            "max_pixel": high,
            "mean_ink": images.mean(axis=(1, 2)).round(2),
            "contrast": high - low,  # never negative, so uint8 cannot wrap around
            "duplicate_of": pd.array(earlier, dtype="Int64"),
            "same_as_train": pd.array([first_in_train.get(key) for key in hashes], dtype="Int64"),
        }
    )


def _first_rows(hashes: list[bytes]) -> dict[bytes, int]:
    return {key: row for row, key in reversed([*enumerate(hashes)])}
