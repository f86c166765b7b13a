"""Params of the validation of raw data, apart from `expectations`, whose imports take 4 s."""

from typing import Annotated

from pydantic import Field

from imageproof.base.files import StrictModel


class ValidateParams(StrictModel):
    """`validate:` in params.yaml. `min_rows` is a critical check, the others only warn.

    A class gets a warning if its share of the rows differs from 1 / classes by more than
    `class_share_tolerance` times 1 / classes. Mean ink is the mean grey value of an image, 0…255.
    """

    min_rows: Annotated[int, Field(ge=1)]
    class_share_tolerance: Annotated[float, Field(gt=0)]
    min_mean_ink: Annotated[float, Field(ge=0, le=255)]
    max_mean_ink: Annotated[float, Field(ge=0, le=255)]
