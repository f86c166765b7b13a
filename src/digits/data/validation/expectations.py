"""The expectations, and the one place that has Great Expectations judge them."""

import warnings
from collections.abc import Iterator
from typing import Any

import pandas as pd

with warnings.catch_warnings():
    # Great Expectations imports sre_constants, which Python 3.11 deprecates
    warnings.simplefilter("ignore", DeprecationWarning)
    import great_expectations as gx
    import great_expectations.expectations as gxe

from digits.data.validation.result import SHOWN_ROWS
from digits.data.validation.validate import ValidateParams


def judge(
    images: pd.DataFrame, labels: pd.DataFrame, *, params: ValidateParams, classes: int
) -> dict[str, Any]:
    """Judge each part of the frames of `summary`.

    Returns:
        Great Expectations' results by the name of what was judged: `train images`,
        `train classes`, and the same of `test` where it is in the frames.
    """
    source = frames()
    shape = images["shape"].iloc[0]
    results = {}
    for part in images["part"].unique():
        suites = {
            "images": (images, image_expectations(part, shape, params, classes), "row"),
            "classes": (labels, class_expectations(params), "class"),
        }
        for name, (frame, expectations, index) in suites.items():
            rows = frame[frame["part"] == part]
            results[f"{part} {name}"] = run_suite(
                source, f"{part} {name}", rows, expectations, index
            )
    return results


def frames() -> Any:
    """A source of data frames in a context that lives in memory and shows no progress."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    return context.data_sources.add_pandas("digits")


def run_suite(
    source: Any, name: str, frame: pd.DataFrame, expectations: list[gxe.Expectation], index: str
) -> Any:
    """Judge a frame; rows are told by the column `index`. Returns Great Expectations' result."""
    batch = (
        source.add_dataframe_asset(name)
        .add_batch_definition_whole_dataframe("all")
        .get_batch({"dataframe": frame})
    )
    return batch.validate(
        gx.ExpectationSuite(name=name, expectations=expectations),
        result_format={
            "result_format": "SUMMARY",
            "unexpected_index_column_names": [index],
            "partial_unexpected_count": SHOWN_ROWS,
        },
    )


def image_expectations(
    part: str, shape: str, params: ValidateParams, classes: int
) -> list[gxe.Expectation]:
    """What the images of a part must be, and what they should be.

    `meta` holds the words of a finding: what is wrong, how a value is shown, what to do.
    """
    expectations = [
        *_labels_and_pixels(classes),
        gxe.ExpectColumnValuesToBeInSet(
            column="shape",
            value_set=[shape],
            severity="critical",
            meta=_words(f"image size other than {shape}", "{}", "give all images one size"),
        ),
        *_looks(params),
    ]
    return [*expectations, _enough_rows(params) if part == "train" else _not_in_train()]


def class_expectations(params: ValidateParams) -> list[gxe.Expectation]:
    """What the rows per class of a part must be, and what they should be."""
    tolerance = params.class_share_tolerance
    return [
        gxe.ExpectColumnValuesToBeBetween(
            column="rows",
            min_value=1,
            severity="critical",
            meta=_words("no images", "", "add images of it, or lower data.classes"),
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="relative_share",
            min_value=1 - tolerance,
            max_value=1 + tolerance,
            severity="warning",
            meta=_words(
                f"share outside {1 - tolerance:g}…{1 + tolerance:g} times uniform",
                "{} times",
                "accuracy will favour the frequent classes",
            ),
        ),
    ]


def _labels_and_pixels(classes: int) -> Iterator[gxe.Expectation]:
    for column, missing in (("label", "no label"), ("min_pixel", "a missing pixel")):
        yield gxe.ExpectColumnValuesToNotBeNull(
            column=column, severity="critical", meta=_words(missing, "", "remove or mend them")
        )
    yield gxe.ExpectColumnValuesToBeInSet(
        column="label",
        value_set=list(range(classes)),
        severity="critical",
        meta=_words(
            f"label outside 0…{classes - 1}", "label {}", "mend the labels, or set data.classes"
        ),
    )
    for column in ("min_pixel", "max_pixel"):
        yield gxe.ExpectColumnValuesToBeBetween(
            column=column,
            min_value=0,
            max_value=255,
            severity="critical",
            meta=_words("pixel outside 0…255", "{}", "store grey values as whole 0…255"),
        )


def _looks(params: ValidateParams) -> Iterator[gxe.Expectation]:
    yield gxe.ExpectColumnValuesToBeBetween(
        column="contrast",
        min_value=0,
        strict_min=True,
        severity="warning",
        meta=_words("blank image", "", "nothing can be learned from it"),
    )
    yield gxe.ExpectColumnValuesToBeBetween(
        column="mean_ink",
        min_value=params.min_mean_ink,
        max_value=params.max_mean_ink,
        severity="warning",
        meta=_words(
            f"mean ink outside {params.min_mean_ink:g}…{params.max_mean_ink:g}",
            "{}",
            "is the contrast inverted, or the scale not 0…255?",
        ),
    )
    yield gxe.ExpectColumnValuesToBeNull(
        column="duplicate_of",
        severity="warning",
        meta=_words("image seen before", "as row {}", "copies may end in two splits"),
    )


def _enough_rows(params: ValidateParams) -> gxe.Expectation:
    return gxe.ExpectTableRowCountToBeBetween(
        min_value=params.min_rows,
        severity="critical",
        meta=_words(
            f"fewer than {params.min_rows} rows", "", "add data, or lower validate.min_rows"
        ),
    )


def _not_in_train() -> gxe.Expectation:
    return gxe.ExpectColumnValuesToBeNull(
        column="same_as_train",
        severity="warning",
        meta=_words("image also in train", "as row {}", "the test result will flatter"),
    )


def _words(what: str, value: str, hint: str) -> dict[str, str]:
    return {"what": what, "value": value, "hint": hint}
