"""Checks of the raw data by Great Expectations, on data frames of its images and classes."""

from functools import lru_cache
from typing import Any

import great_expectations as gx
import great_expectations.expectations as gxe
import numpy as np
import pandas as pd

from digits.data.validation.validate import ValidateParams, usual_ranges
from digits.toolkit.dataset import Dataset, RawData, fingerprints
from digits.toolkit.findings import SHOWN_ROWS, Unit, Words, finding

Between, InSet = gxe.ExpectColumnValuesToBeBetween, gxe.ExpectColumnValuesToBeInSet
Null, NotNull = gxe.ExpectColumnValuesToBeNull, gxe.ExpectColumnValuesToNotBeNull
Check = dict[str, Any]
HALF_RANGE = 128  # of the grey values 0…255
BRIEF = ("part", "severity", "expectation", "column", "success")


def validate(raw: RawData, *, params: ValidateParams, classes: int) -> dict[str, Any]:
    """Check the training part and, if there is one, the official test part.

    Critical: labels are 0…classes-1, every class is present, pixels are 0…255, nothing is
    missing, all images have one shape, the training part has `min_rows`. The rest are warnings.
    Each of the `findings` has the `message`, and the first failing `rows` (from 0) or `classes`.
    """
    images = raw_frame(raw)
    shape = images["shape"].iloc[0]
    checks, summary = [], {}
    for part, rows in images.groupby("part", sort=False):
        of_images = _of_images(str(part), shape, classes, params)
        per_class = class_frame(rows, classes)
        checks += _check(rows, of_images, unit="row")
        checks += _check(per_class, _of_classes(params), unit="class")
        summary[str(part)] = _summary(rows, per_class["rows"].tolist())
    failed = [check for check in checks if not check["success"]]
    critical = sum(check["severity"] == "critical" for check in failed)
    return {
        "success": not critical,
        "critical": critical,
        "warnings": len(failed) - critical,
        "summary": summary,
        "findings": failed,
        "expectations": [{key: check[key] for key in BRIEF} for check in checks],
    }


def raw_frame(raw: RawData) -> pd.DataFrame:
    """One row per image of the training part, then of the official test part.

    Columns are those of `_pixels`, duplicate_of (an earlier row of the same part with equal
    pixels), and same_as_train (for a test row, the first training row with equal pixels).
    """
    parts = {"train": raw.train} | ({"test": raw.test} if raw.test is not None else {})
    frame = pd.concat([_pixels(*part) for part in parts.items()], ignore_index=True)
    first = frame.groupby(["part", "hash"], sort=False)["row"].transform("first").astype("Int64")
    frame["duplicate_of"] = first.where(first < frame["row"])
    firsts = frame[frame["part"] == "train"].drop_duplicates("hash").set_index("hash")["row"]
    in_train = frame["hash"].map(firsts).astype("Int64")
    frame["same_as_train"] = in_train.where(frame["part"] == "test")
    return frame.drop(columns="hash")


def class_frame(rows: pd.DataFrame, classes: int) -> pd.DataFrame:
    """One row per class of one part: part, class, rows, and relative_share.

    That is 1 if all classes are equally frequent, and missing if the class has no rows.
    """
    counts = rows["label"].value_counts().reindex(range(classes), fill_value=0)
    counts.index.name = None  # else Great Expectations fails to name the classes
    share = (counts * float(classes) / len(rows)).where(counts > 0).round(4)
    columns = {"part": rows["part"].iloc[0], "class": range(classes), "rows": counts}
    return pd.DataFrame(columns | {"relative_share": share})


def _pixels(part: str, dataset: Dataset) -> pd.DataFrame:
    images = dataset.images
    low, high = images.min(axis=(1, 2)), images.max(axis=(1, 2))
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
            "hash": fingerprints(images),
        }
    )


def _summary(rows: pd.DataFrame, class_counts: list[int]) -> dict[str, Any]:
    return {
        "rows": len(rows),
        "shapes": sorted(rows["shape"].unique().tolist()),
        "class_counts": {str(c): count for c, count in enumerate(class_counts)},
        "mean_ink": round(float(rows["mean_ink"].mean()), 4),
        "blank_images": int((rows["contrast"] == 0).sum()),
        "duplicate_images": int(rows["duplicate_of"].notna().sum()),
        "images_also_in_train": int(rows["same_as_train"].notna().sum()),
    }


def _of_images(part: str, shape: str, classes: int, params: ValidateParams) -> list[Any]:
    known = InSet(column="label", value_set=list(range(classes)))
    outside = f"label outside 0…{classes - 1}"
    size, other = InSet(column="shape", value_set=[shape]), f"image size other than {shape}"
    grey = [Between(column=name, min_value=0, max_value=255) for name in ("min_pixel", "max_pixel")]
    whole = ("pixel outside 0…255", "store grey values as whole 0…255", "{}")
    copied = ("image seen before", "copies may end in two parts: see split.copies", "as row {}")
    mend = "the test accuracy will be too high: see split.copies"
    in_both = ("image also in train", mend, "as row {}")
    range_used = gxe.ExpectColumnMaxToBeBetween(column="max_pixel", min_value=HALF_RANGE)
    dark = (f"highest grey value below {HALF_RANGE}", "multiply all values, so that 255 is reached")
    number = gxe.ExpectTableRowCountToBeBetween(min_value=params.min_rows)
    few = (f"fewer than {params.min_rows} rows", "add data, or lower validate.min_rows")
    in_test, in_train = Null(column="same_as_train"), part == "train"
    return [
        _critical(NotNull(column="label"), "no label", "remove or mend them"),
        _critical(NotNull(column="min_pixel"), "a missing pixel", "remove or mend them"),
        _critical(known, outside, "mend the labels, or set data.classes", "label {}"),
        *(_critical(each, *whole) for each in grey),
        _critical(size, other, "give all images one size", "{}"),
        *(
            _warning(Between(column=column, min_value=low, max_value=high), *words)
            for column, low, high, words in usual_ranges(params)
        ),
        _warning(range_used, *dark),
        _warning(Null(column="duplicate_of"), *copied),
        _critical(number, *few) if in_train else _warning(in_test, *in_both),
    ]


def _of_classes(params: ValidateParams) -> list[Any]:
    low, high = 1 - params.class_share_tolerance, 1 + params.class_share_tolerance
    rows = Between(column="rows", min_value=1)
    share = Between(column="relative_share", min_value=low, max_value=high)
    unequal = f"share outside {low:g}…{high:g} times uniform"
    return [
        _critical(rows, "no images", "add images of it, or lower data.classes"),
        _warning(share, unequal, "accuracy will favour the frequent classes", "{} times"),
    ]


def _critical(expectation: Any, *words: str) -> Any:
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
    config, details = result["expectation_config"], result["result"]
    column, words = config["kwargs"].get("column"), Words(**config["meta"])
    entries = details.get("partial_unexpected_index_list") or []
    count = details.get("unexpected_count", 0)
    failing = [int(entry[unit]) for entry in entries]
    message = None
    if not result["success"] and "observed_value" in details:
        message = f"{part}: {words.what}: {details['observed_value']} found; {words.hint}"
    elif not result["success"]:
        examples = [(entry[unit], entry[column]) for entry in entries]
        message = finding(part, unit, words, count, examples)
    return {
        "part": part,
        "severity": config["severity"],
        "expectation": config["type"],
        "column": column,
        "success": result["success"],
        "count": count,
        "rows": failing if unit == "row" else [],
        "classes": failing if unit == "class" else [],
        "message": message,
    }
