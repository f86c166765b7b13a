"""`features`: a frozen backbone, asked once per image, and a linear classifier; for photographs."""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from imageproof.base import Dataset, Shape, StrictModel
from imageproof.keras import networks

if TYPE_CHECKING:  # whoever reads params needs no onnx
    from onnx import ModelProto

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Strength = Annotated[float, Field(gt=0, le=1_000_000)]


class Recipe(StrictModel):
    """`train.features` in params.yaml."""

    backbone: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=80)]
    backbone_sha256: Sha256
    mirror: bool
    c: Annotated[list[Strength], Field(min_length=1)]
    class_weights: networks.ClassWeights = None


def fit(
    recipe: Recipe,
    data: Dataset,
    validation: Dataset,
    *,
    classes: int,
    seed: int,
    **others: Any,
) -> tuple[Any, int]:
    """The classifier fitted to the features of these images, and its number of parameters."""
    from imageproof.features import head, train

    options = train.Options(recipe.backbone, recipe.backbone_sha256, recipe.c, recipe.mirror)
    settings = head.Settings(classes, recipe.class_weights, seed)
    fitted = train.fit_features(
        options, data, validation, settings=settings, threads=others["threads"]
    )
    others["on_epoch"](fitted.metrics)
    return fitted, fitted.parameters


def network(
    fitted: Any,
    _shape: Shape,
    *,
    temperature: float,
) -> "ModelProto":
    """Backbone and classifier as one ONNX model, from images to probabilities."""
    model: ModelProto = fitted.network(temperature=temperature)
    return model
