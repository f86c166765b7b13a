"""The expectations on each part of the data, which Great Expectations checks."""

import warnings
from functools import lru_cache
from typing import Any, Literal

import pandas as pd

with warnings.catch_warnings():
    # Great Expectations imports sre_constants, which Python 3.11 deprecates
    warnings.simplefilter("ignore", DeprecationWarning)
    import great_expectations as gx
    import great_expectations.expectations as gxe

from digits.data.validation.validate import Check, ValidateParams

SHOWN_ROWS = 5


def check_images(
    images: pd.DataFrame, *, shape: str, params: ValidateParams, classes: int
) -> list[Check]:
    """Check the images of one part, which are rows of `frames.raw_frame`.

    All images must have this shape. Expectations on missing columns are left out.
    """
    of_part = _enough_rows if images["part"].iloc[0] == "train" else _not_in_train
    expectations = [*_possible(shape, classes), *_usual(params), of_part(params)]
    known = {*images.columns, None}
    present = [each for each in expectations if getattr(each, "column", None) in known]
    return _check(images, present, unit="row")


def check_classes(classes: pd.DataFrame, *, params: ValidateParams) -> list[Check]:
    """Check the rows per class of one part, a frame of `frames.class_frame`."""
    low, high = 1 - params.class_share_tolerance, 1 + params.class_share_tolerance
    expectations = [
        _critical(
            gxe.ExpectColumnValuesToBeBetween(column="rows", min_value=1),
            "no images",
            "add images of it, or lower data.classes",
        ),
        _warning(
            gxe.ExpectColumnValuesToBeBetween(
                column="relative_share", min_value=low, max_value=high
            ),
            f"share outside {low:g}…{high:g} times uniform",
            "accuracy will favour the frequent classes",
            value="{} times",
        ),
    ]
    return _check(classes, expectations, unit="class")


def _possible(shape: str, classes: int) -> list[gxe.Expectation]:
    """Critical: what every image and label must be."""
    return [
        _critical(
            gxe.ExpectColumnValuesToNotBeNull(column="label"), "no label", "remove or mend them"
        ),
        _critical(
            gxe.ExpectColumnValuesToNotBeNull(column="min_pixel"),
            "a missing pixel",
            "remove or mend them",
        ),
        _critical(
            gxe.ExpectColumnValuesToBeInSet(column="label", value_set=list(range(classes))),
            f"label outside 0…{classes - 1}",
            "mend the labels, or set data.classes",
            value="label {}",
        ),
        *(
            _critical(
                gxe.ExpectColumnValuesToBeBetween(column=column, min_value=0, max_value=255),
                "pixel outside 0…255",
                "store grey values as whole 0…255",
                value="{}",
            )
            for column in ("min_pixel", "max_pixel")
        ),
        _critical(
            gxe.ExpectColumnValuesToBeInSet(column="shape", value_set=[shape]),
            f"image size other than {shape}",
            "give all images one size",
            value="{}",
        ),
    ]


def _usual(params: ValidateParams) -> list[gxe.Expectation]:
    """Warnings: what an image that is worth training on looks like."""
    low, high = params.min_mean_ink, params.max_mean_ink
    return [
        _warning(
            gxe.ExpectColumnValuesToBeBetween(column="contrast", min_value=0, strict_min=True),
            "blank image",
            "nothing can be learned from it",
        ),
        _warning(
            gxe.ExpectColumnValuesToBeBetween(column="mean_ink", min_value=low, max_value=high),
            f"mean ink outside {low:g}…{high:g}",
            "is the contrast inverted, or the scale not 0…255?",
            value="{}",
        ),
        _warning(
            gxe.ExpectColumnValuesToBeNull(column="duplicate_of"),
            "image seen before",
            "copies may end in two splits",
            value="as row {}",
        ),
    ]


def _enough_rows(params: ValidateParams) -> gxe.Expectation:
    return _critical(
        gxe.ExpectTableRowCountToBeBetween(min_value=params.min_rows),
        f"fewer than {params.min_rows} rows",
        "add data, or lower validate.min_rows",
    )


def _not_in_train(_: ValidateParams) -> gxe.Expectation:
    return _warning(
        gxe.ExpectColumnValuesToBeNull(column="same_as_train"),
        "image also in train",
        "the test result will flatter",
        value="as row {}",
    )


def _critical(expectation: Any, what: str, hint: str, *, value: str = "") -> Any:
    return _with_words(expectation, "critical", what, hint, value)


def _warning(expectation: Any, what: str, hint: str, *, value: str = "") -> Any:
    return _with_words(expectation, "warning", what, hint, value)


def _with_words(expectation: Any, severity: str, what: str, hint: str, value: str) -> Any:
    """Add the words of a finding: what is wrong, how to fix it, how a failing value is shown."""
    expectation.severity = severity
    expectation.meta = {"what": what, "hint": hint, "value": value}
    return expectation


@lru_cache
def _source() -> Any:
    """A source of data frames, in a context without files and progress bars."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    return context.data_sources.add_pandas("digits")


def _check(
    frame: pd.DataFrame, expectations: list[Any], *, unit: Literal["row", "class"]
) -> list[Check]:
    """Check a frame of one part; the column `unit` numbers its rows."""
    results = (
        _source()
        .read_dataframe(frame)
        .validate(
            gx.ExpectationSuite(name=unit, expectations=expectations),
            result_format={
                "result_format": "SUMMARY",
                "unexpected_index_column_names": [unit],
                "partial_unexpected_count": SHOWN_ROWS,
            },
        )
        .to_json_dict()["results"]
    )
    return [_as_check(frame["part"].iloc[0], unit, result) for result in results]


def _as_check(part: str, unit: str, result: dict[str, Any]) -> Check:
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


def _message(part: str, unit: str, config: dict[str, Any], details: dict[str, Any]) -> str:
    words = config["meta"]
    if "observed_value" in details:
        where = f": {details['observed_value']} found"
    else:
        count = details["unexpected_count"]
        units = unit if count == 1 else {"row": "rows", "class": "classes"}[unit]
        where = f" in {count} {units}: {_examples(unit, config, details)}"
    return f"{part}: {words['what']}{where}; {words['hint']}"


def _examples(unit: str, config: dict[str, Any], details: dict[str, Any]) -> str:
    """`row 4 (label 10), row 9 (label 12)`, with `…` if there are more."""
    column, value = config["kwargs"]["column"], config["meta"]["value"]
    examples = [
        f"{unit} {entry[unit]}" + (f" ({value.format(entry[column])})" if value else "")
        for entry in details["partial_unexpected_index_list"]
    ]
    more = ["…"] if details["unexpected_count"] > len(examples) else []
    return ", ".join(examples + more)
