"""What several models share: types of arguments, first and last layers, and `compact`'s network."""

from collections.abc import Mapping
from math import ceil
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeInt,
    StrictFloat,
    StrictInt,
    TypeAdapter,
    ValidationError,
)

from imageproof.base._dataset import Labels, Shape
from imageproof.base.errors import UsageError

# TensorFlow crashes at numbers that only a slip makes
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Rate = Annotated[float, Field(ge=0, lt=1)]
Padding = Literal["valid", "same"]
MAX_WEIGHT = 1_000_000  # of a class
# a search and DVC's `-S` turn the class numbers into text
Number = Annotated[NonNegativeInt, BeforeValidator(str)]  # true is not 1
WEIGHTS = TypeAdapter(dict[Number, Annotated[StrictInt | StrictFloat, Field(gt=0, le=MAX_WEIGHT)]])
# Keras has no types, and is imported only when a model is built.
Model = Any
Layers = list[Any]


def _weights(choice: object) -> object:
    if choice in (None, "balanced"):
        return choice
    try:
        return WEIGHTS.validate_python(choice)
    except ValidationError:
        raise ValueError(
            "`balanced`, or a mapping from class numbers to weights above 0, at most "
            f"{MAX_WEIGHT:,}, is allowed"
        ) from None


# `balanced`: all classes count alike; a class that the mapping leaves out weighs 1
ClassWeights = Annotated[Any, BeforeValidator(_weights)]


def raw_pixels(image_shape: Shape) -> Layers:
    """Input layers: uint8 images (n, *image_shape) to float (n, height, width, 1 or 3) of 0…1."""
    from keras import Input, layers

    return [
        Input(image_shape, dtype="uint8"),
        layers.Rescaling(1 / 255),
        layers.Reshape((*image_shape, 1)[:3]),
    ]


def averaged(image_shape: Shape, max_side: int) -> tuple[Layers, Shape]:
    """Layers that average pixels until no side is longer than `max_side`, and the smaller shape."""
    from keras import layers

    height, width, *channels = image_shape
    factor = ceil(max(height, width) / max_side)
    pooling = [layers.AveragePooling2D(factor)] if factor > 1 else []
    return pooling, (height // factor, width // factor, *channels)


def convolution(
    filters: int,
    size: int,
    *,
    padding: Padding,
    pooled: bool = False,
) -> Layers:
    """A convolution of size×size, 2×2 max-pooling if `pooled`, batch normalization, and ReLU."""
    from keras import layers

    from imageproof.keras._normalization import FusedBatchNormalization

    return [
        layers.Conv2D(filters, size, padding=padding, use_bias=False),
        # pooling first gives the same maxima (gamma is positive) for a quarter of the work
        *([layers.MaxPooling2D(2)] if pooled else []),
        FusedBatchNormalization(momentum=0.9),
        layers.ReLU(),
    ]


def compact_net(
    filters: list[int],
    size: int,
    *,
    image_shape: Shape,
) -> Layers:
    """From scaled pixels to features (n, k): one convolution of size×size and three of 3×3."""
    from keras import layers

    border = padding(image_shape)
    return [
        *convolution(filters[0], size, padding=border, pooled=True),
        *convolution(filters[1], 3, padding=border),
        *convolution(filters[2], 3, padding=border, pooled=True),
        *convolution(filters[3], 3, padding=border),
        layers.Flatten(),
    ]


def dense_net(units: list[int], dropout: list[float]) -> Layers:
    """Dense ReLU layers, each followed by dropout."""
    from keras import layers

    network: Layers = []
    for count, rate in zip(units, dropout, strict=True):
        network += [layers.Dense(count, activation="relu"), layers.Dropout(rate)]
    return network


def padding(image_shape: Shape) -> Padding:
    """`"same"` below 24 pixels, where there is no border to lose; otherwise `"valid"`."""
    return "valid" if min(image_shape[:2]) >= 24 else "same"


def probabilities(classes: int) -> Any:
    """The last layer, a softmax: float32 (n, classes), in mixed precision too."""
    from keras import layers

    return layers.Dense(classes, activation="softmax", dtype="float32")


def apply(layers: Layers, values: Any) -> Any:
    """What the layers, one after the other, make of Keras's tensor `values`."""
    for layer in layers:
        values = layer(values)
    return values


def class_weights(
    choice: Literal["balanced"] | Mapping[int, float] | None, labels: Labels, *, classes: int
) -> list[float] | None:
    """The factor of each class's loss; `balanced`: rows / (classes · rows of the class).

    The formula is scikit-learn's. A class without rows weighs 0. A UsageError names an unknown one.
    """
    if choice is None:
        return None
    if choice == "balanced":
        counts = np.bincount(labels, minlength=classes)
        return [float(len(labels) / (classes * count)) if count else 0.0 for count in counts]
    if unknown := [label for label in choice if label >= classes]:
        raise UsageError(f"fit.class_weights: class {unknown[0]} is not one of 0…{classes - 1}")
    return [choice.get(label, 1.0) for label in range(classes)]
