"""Whether raw data is fit to train on, as Great Expectations judges; critical findings stop it."""

from typing import Annotated

from pydantic import Field, model_validator

from digits.core.dataset import RawData
from digits.core.files import StrictModel
from digits.data.validation.result import Check, Result

__all__ = ["Check", "Result", "ValidateParams", "data_docs", "validate"]

# Great Expectations takes 4 s to import: only who validates waits for it, not who reads params.


class ValidateParams(StrictModel):
    """`validate:` in params.yaml. `min_rows` is critical, the others bring warnings only.

    A class is far from uniform when its share of the rows differs from 1 / classes by more
    than `class_share_tolerance` times 1 / classes. Mean ink is the mean grey value of one
    image, 0…255.
    """

    min_rows: Annotated[int, Field(ge=1)]
    class_share_tolerance: Annotated[float, Field(gt=0)]
    min_mean_ink: Annotated[float, Field(ge=0, le=255)]
    max_mean_ink: Annotated[float, Field(ge=0, le=255)]

    @model_validator(mode="after")
    def _range_is_not_empty(self) -> "ValidateParams":
        if self.min_mean_ink >= self.max_mean_ink:
            raise ValueError(
                f"min_mean_ink is {self.min_mean_ink:g}; it must be below max_mean_ink,"
                f" {self.max_mean_ink:g}"
            )
        return self


def validate(raw: RawData, *, params: ValidateParams, classes: int) -> Result:
    """Check the training part and, where there is one, the official test part.

    Critical: labels are 0…classes-1, every class is present, pixels are 0…255, nothing is
    missing, all images have one shape, the training part has `min_rows`. Warnings: class
    shares, blank images, duplicates, images in both parts, mean ink.
    """
    from digits.data.validation.expectations import judge
    from digits.data.validation.summary import class_frame, part_summary, summary_frame

    images = summary_frame(raw)
    labels = class_frame(images, classes)
    results = judge(images, labels, params=params, classes=classes)
    parts = images.groupby("part", sort=False)
    summary = {str(name): part_summary(rows, classes) for name, rows in parts}
    return Result.of(results, summary)


def data_docs(result: Result) -> str:
    """One HTML page of every expectation and what was found, as Great Expectations renders it.

    The page is the same for the same result. Its styles come from the network.
    """
    from digits.data.validation.docs import render

    return render(result.sources)
