"""A training recipe: what `train.<model>` in params.yaml says besides the model's own arguments."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

_CONFIG = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

Fraction = Annotated[float, Field(ge=0, lt=1)]

# Recipes count pixels as on images of this side; on other images they stand for the same share.
SIDE = 28


class OptimizerParams(BaseModel):
    """`optimizer:` of a model; the names are Keras's."""

    model_config = _CONFIG

    name: Literal["adadelta", "adam", "adamw", "rmsprop", "sgd"]
    learning_rate: Annotated[float, Field(gt=0)]
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.999

    @model_validator(mode="after")
    def _betas_are_adams(self) -> "OptimizerParams":
        given = self.model_fields_set & {"beta_1", "beta_2"}
        if given and self.name not in ("adam", "adamw"):
            raise ValueError(f"{self.name} has no {' and no '.join(sorted(given))}; adam has")
        return self


class ScheduleParams(BaseModel):
    """`schedule:` of the learning rate, over all steps of the training.

    `cosine` falls from `optimizer.learning_rate` to 0, after a linear warm-up that takes the
    fraction `warmup` of the steps; with about 0.3 it is the one-cycle policy of Smith and
    Topin, «Super-Convergence» (2018), with a cosine for its descent.
    """

    model_config = _CONFIG

    name: Literal["constant", "cosine"] = "constant"
    warmup: Fraction = 0.0

    @model_validator(mode="after")
    def _warms_up_to_something(self) -> "ScheduleParams":
        if self.warmup and self.name == "constant":
            raise ValueError("warmup needs `name: cosine`")
        return self


class AugmentParams(BaseModel):
    """`augment:` how far, at most, each training image is moved, uniformly at random.

    All amounts scale with the image: `shift` counts pixels of an image of 28×28.
    """

    model_config = _CONFIG

    rotation: Annotated[float, Field(ge=0, le=180)] = 0.0  # degrees
    zoom: Fraction = 0.0  # of the size, along each axis
    shear: Fraction = 0.0  # of the height
    shift: Annotated[float, Field(ge=0)] = 0.0  # pixels of 28, along each axis


class ViewParams(BaseModel):
    """`test_time_augment:` the views over which a prediction is the mean, none where both are 0.

    The image itself; it shifted left and right; and it stretched along one axis while squeezed
    along the other. A fit takes no longer, a prediction as many times as there are views.
    Both amounts scale with the image and are rounded to whole pixels of it; `shift` counts pixels
    of an image of 28×28.
    """

    model_config = _CONFIG

    shift: Annotated[int, Field(ge=0)] = 0  # pixels of 28
    stretch: Annotated[float, Field(ge=0, le=0.5)] = 0.0  # of the size, in whole pixels per edge


class FitParams(BaseModel):
    """`fit:` of a model; the names are Keras's."""

    model_config = _CONFIG

    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1)]
    label_smoothing: Fraction = 0.0
    # bfloat16 where this CPU computes with it, else float32; weights are float32 in any case
    mixed_precision: bool = False


class Recipe(BaseModel):
    """How one model is trained; the builder itself says what `build` may hold."""

    model_config = _CONFIG

    build: BaseModel
    optimizer: OptimizerParams
    schedule: ScheduleParams = ScheduleParams()
    augment: AugmentParams = AugmentParams()
    test_time_augment: ViewParams = ViewParams()
    fit: FitParams
