"""A training recipe: the blocks of `train.<model>` in params.yaml, and what each may hold."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, SerializeAsAny, model_validator

from digits.toolkit.files import StrictModel

Fraction = Annotated[float, Field(ge=0, lt=1)]
Distribute = Literal["none", "mirrored"]

# Recipes count pixels on images of this side; on others they are scaled to the same share.
SIDE = 28


class OptimizerParams(StrictModel):
    """`optimizer:` of a model; the names are Keras's."""

    name: Literal["adadelta", "adam", "adamw", "rmsprop", "sgd"]
    learning_rate: Annotated[float, Field(gt=0)]
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.999

    @model_validator(mode="after")
    def _only_adam_has_betas(self) -> "OptimizerParams":
        betas = self.model_fields_set & {"beta_1", "beta_2"}
        if betas and self.name not in ("adam", "adamw"):
            raise ValueError(f"{self.name} has no {' and no '.join(sorted(betas))}; adam has")
        return self


class ScheduleParams(StrictModel):
    """`schedule:` of the learning rate over all steps of the training.

    `cosine` falls from `optimizer.learning_rate` to 0, after a linear warm-up over the fraction
    `warmup` of the steps (about 0.3: Smith and Topin, «Super-Convergence», 2018).
    """

    name: Literal["constant", "cosine"] = "constant"
    warmup: Fraction = 0.0

    @model_validator(mode="after")
    def _only_cosine_warms_up(self) -> "ScheduleParams":
        if self.warmup and self.name == "constant":
            raise ValueError("warmup needs `name: cosine`")
        return self


class AugmentParams(StrictModel):
    """`augment:` the largest random changes of a training image, drawn uniformly."""

    rotation: Annotated[float, Field(ge=0, le=180)] = 0.0  # degrees
    zoom: Fraction = 0.0  # of the size, along each axis
    shear: Fraction = 0.0  # of the height
    shift: Annotated[float, Field(ge=0)] = 0.0  # pixels of 28, along each axis
    flip: bool = False  # left and right, half of the images
    brightness: Fraction = 0.0  # factor of each value: 1 ± this
    contrast: Fraction = 0.0  # factor of the difference from the image's mean
    saturation: Fraction = 0.0  # factor of the difference from grey; of colour images only
    cutout: Fraction = 0.0  # share of each side: a rectangle of black


class ViewParams(StrictModel):
    """`test_time_augment:` the views whose predictions are averaged; none if both are 0.

    They are the image itself, shifted left and right, and stretched along one axis while squeezed
    along the other. A prediction takes as many times longer as there are views.
    """

    shift: Annotated[int, Field(ge=0)] = 0  # pixels of 28
    stretch: Annotated[float, Field(ge=0, le=0.5)] = 0.0  # of the size, in whole pixels per edge


class FitParams(StrictModel):
    """`fit:` of a model; the names are Keras's."""

    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1)]
    label_smoothing: Fraction = 0.0
    # bfloat16 where the device has it, otherwise float32; the weights are always float32
    mixed_precision: bool = False


class Recipe(StrictModel):
    """How one model is trained; `build` is the `BuildParams` of the model's file."""

    build: SerializeAsAny[BaseModel]
    optimizer: OptimizerParams
    schedule: ScheduleParams = ScheduleParams()
    augment: AugmentParams = AugmentParams()
    test_time_augment: ViewParams = ViewParams()
    fit: FitParams

    @property
    def epochs(self) -> int:
        """Those of all phases."""
        return self.fit.epochs


class FineTuneParams(StrictModel):
    """`fine_tune:` a second phase, in which the last layers of the backbone are trained, too."""

    epochs: Annotated[int, Field(ge=1)]
    layers: Annotated[int, Field(ge=1)]
    learning_rate: Annotated[float, Field(gt=0)]


class FineTuneRecipe(Recipe):
    """The recipe of a model whose file has `unfreeze`; its `fit` is of the new layer alone."""

    fine_tune: FineTuneParams | None = None

    @property
    def epochs(self) -> int:
        return self.fit.epochs + (self.fine_tune.epochs if self.fine_tune else 0)
