"""A training recipe: the blocks of `train.<model>` in params.yaml, and what each may hold."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, Field, SerializeAsAny, model_validator

from imageproof.base import StrictModel
from imageproof.keras import networks

Fraction = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Distribute = Literal["none", "mirrored"]
Monitor = Literal["val_loss", "val_accuracy", "loss", "accuracy"]

# Recipes count pixels on images of this side; on others they are scaled to the same share.
SIDE = 28


class OptimizerParams(StrictModel):
    """`optimizer:` of a model; the names are Keras's."""

    name: Literal["adadelta", "adam", "adamw", "rmsprop", "sgd"]
    learning_rate: Positive
    beta_1: Annotated[Fraction, Field(description="of adam and adamw")] = 0.9
    beta_2: Fraction = 0.999
    momentum: Fraction = Field(default=0.0, description="of sgd and rmsprop")
    weight_decay: Annotated[float, Field(ge=0)] | None = None
    clipnorm: Positive | None = None
    gradient_accumulation_steps: Annotated[int, Field(ge=2, le=1_000_000)] | None = None

    @model_validator(mode="after")
    def _only_some_have_betas_or_momentum(self) -> "OptimizerParams":
        adams = ("adam", "adamw")
        owners = {"beta_1": adams, "beta_2": adams, "momentum": ("sgd", "rmsprop")}
        for key, names in owners.items():
            if key in self.model_fields_set and self.name not in names:
                raise ValueError(f"{self.name} has no {key}; {names[0]} has")
        return self


class ScheduleParams(StrictModel):
    """`schedule:` of the learning rate over all steps of the training, one of Keras's.

    `cosine` falls from `optimizer.learning_rate` to 0, after a linear warm-up over the fraction
    `warmup` of the steps (about 0.3: Smith and Topin, «Super-Convergence», 2018).
    """

    name: Literal["constant", "cosine"] = "constant"
    warmup: Fraction = 0.0

    @model_validator(mode="after")
    def _only_cosine_has_warmup(self) -> "ScheduleParams":
        if self.name == "constant" and "warmup" in self.model_fields_set:
            raise ValueError("constant has no warmup")
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


class EarlyStoppingParams(StrictModel):
    """`early_stopping:` ends a fit after `patience` epochs without an improvement."""

    monitor: Monitor = Field(default="val_loss", description="loss falls, accuracy rises")
    patience: networks.Count = Field(description="epochs without an improvement")
    min_delta: Annotated[float, Field(ge=0)] = Field(
        default=0.0, description="less is no improvement"
    )


class FitParams(StrictModel):
    """`fit:` of a model; the names are Keras's."""

    epochs: networks.Count
    batch_size: networks.Count
    loss: Literal["categorical_crossentropy", "categorical_focal_crossentropy"] = (
        "categorical_crossentropy"
    )
    label_smoothing: Fraction = 0.0
    class_weights: networks.ClassWeights = None
    # bfloat16 where the device is faster with it, otherwise float32; the weights are always float32
    mixed_precision: bool = False
    early_stopping: EarlyStoppingParams | None = None
    keep: Literal["last", "best"] = "last"  # the weights of which epoch

    def best_epoch(self, history: Sequence[Mapping[str, float]]) -> int:
        """The best of at least one epoch by what is monitored, from 1; as Keras's EarlyStopping."""
        rule = self.early_stopping or EarlyStoppingParams(patience=1)
        sign = 1 if rule.monitor.endswith("loss") else -1
        best = 1
        for epoch, metrics in enumerate(history, 1):
            gain = sign * (history[best - 1][rule.monitor] - metrics[rule.monitor])
            best = epoch if gain > rule.min_delta else best
        return best

    def kept_epoch(self, history: Sequence[Mapping[str, float]]) -> int:
        """The epoch, from 1, whose weights are those of the model."""
        return self.best_epoch(history) if self.keep == "best" else len(history)

    def stops(self, history: Sequence[Mapping[str, float]], *, since: int) -> bool:
        """Whether a fit that began after `since` epochs is to be stopped early."""
        if not self.early_stopping:
            return False
        last_gain = max(self.best_epoch(history), since)
        return len(history) - last_gain >= self.early_stopping.patience


class Recipe(StrictModel):
    """How one model is trained; `build` is the `BuildParams` of the model's file."""

    build: SerializeAsAny[BaseModel]
    optimizer: OptimizerParams
    schedule: ScheduleParams = ScheduleParams()
    augment: AugmentParams = AugmentParams()
    fit: FitParams

    @property
    def epochs(self) -> int:
        """Those of all phases."""
        return self.fit.epochs


class FineTuneParams(StrictModel):
    """`fine_tune:` a second phase, in which the last layers of the backbone are trained, too."""

    epochs: networks.Count
    layers: networks.Count
    learning_rate: Positive


class FineTuneRecipe(Recipe):
    """The recipe of a model whose file has `unfreeze`; its `fit` is of the new layer alone."""

    fine_tune: FineTuneParams | None = None

    @property
    def epochs(self) -> int:
        return self.fit.epochs + (self.fine_tune.epochs if self.fine_tune else 0)
