"""A training recipe: what `train.<model>` in params.yaml says besides the model's own arguments."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

_CONFIG = ConfigDict(extra="forbid", frozen=True, strict=True)


class OptimizerParams(BaseModel):
    """`optimizer:` of a model; the names are Keras's."""

    model_config = _CONFIG

    name: Literal["adadelta", "adam", "adamw", "rmsprop", "sgd"]
    learning_rate: Annotated[float, Field(gt=0)]


class FitParams(BaseModel):
    """`fit:` of a model; the names are Keras's."""

    model_config = _CONFIG

    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1)]


class Recipe(BaseModel):
    """How one model is trained; the builder itself says what `build` may hold."""

    model_config = _CONFIG

    build: BaseModel
    optimizer: OptimizerParams
    fit: FitParams
