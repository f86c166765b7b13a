"""The expectations of `validate`, for images that come without labels."""

import pandas as pd

from digits.data.validation.result import Result
from digits.data.validation.validate import ValidateParams

COLUMNS = ("shape", "min_pixel", "max_pixel", "contrast", "mean_ink")


def validate_images(images: pd.DataFrame, *, params: ValidateParams) -> Result:
    """Judge a frame of `scoring.statistics.image_frame` by the expectations on its columns."""
    from digits.data.validation import expectations as judgement

    shape = str(images["shape"].iloc[0])
    suite = [
        expectation
        for expectation in judgement.image_expectations("input", shape, params, classes=2)
        if expectation.column in COLUMNS
    ]
    name = "input images"
    judged = judgement.run_suite(judgement.frames(), name, images, suite, "row")
    return Result.of({name: judged}, {"rows": len(images)})
