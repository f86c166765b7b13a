"""The limits of the promotion gate."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from imageproof.base.files import StrictModel

Off = BeforeValidator(lambda value: None if value is False else value)
Share = Annotated[float | None, Field(ge=0, le=1), Off]
Level = Annotated[float | None, Field(gt=0, lt=1), Off]
Positive = Annotated[float | None, Field(gt=0), Off]
Count = Annotated[int | None, Field(ge=1), Off]
Switch = Annotated[bool | None, Off]


class ShadowParams(StrictModel):
    """`min_rows` labelled rows, drawn at random, of those that both models answered in service."""

    min_rows: Annotated[int, Field(ge=1, description="labelled rows, drawn at random")]


class PromoteParams(StrictModel):
    """`promote:` in params.yaml: one check per key; null or false turns it off.

    Shares are of the hold-out rows, 0…1; what ends in `_test` is the level α of a test. With fewer
    rows than `min_unseen` that no model has seen, the gate is undecided.
    """

    min_unseen: Count
    min_accuracy: Share
    min_balanced_accuracy: Share
    min_macro_f1: Share
    min_sensitivity: Share
    beats_baseline: Level
    paired_test: Level
    max_accuracy_loss: Share
    max_balanced_accuracy_loss: Share
    max_macro_f1_loss: Share
    max_sensitivity_loss: Share
    max_total_loss: Share
    max_slice_loss: Share
    max_calibration_error: Share
    coverage_test: Level
    max_unsure: Share
    holdout_test: Level
    shadow: Annotated[ShadowParams | None, Off]
    max_latency_ms: Positive
    max_size_mb: Positive
    data_validated: Switch
    clean_commit: Switch
