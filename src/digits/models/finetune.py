"""`finetune`: a network of keras.applications that has seen other images, with a new last layer."""

import warnings
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from imageproof.base import Shape, StrictModel, errors, files
from imageproof.keras import networks

# Scale and offset from pixels of 0…1 to what each was trained on, as its own documentation says.
# EfficientNetB0 and V2B0 are left out: their constants are lost on the way to ONNX.
SCALES = {"MobileNetV3Small": (255, 0), "MobileNetV2": (2, -1), "ResNet50V2": (2, -1)}


class BuildParams(StrictModel):
    backbone: Literal["MobileNetV3Small", "MobileNetV2", "ResNet50V2"]
    side: Annotated[int, Field(ge=32)]  # pixels, to which both sides of an image are resized
    weights: str | None  # `imagenet`, a file (.weights.h5 or .keras), or none
    # of the file, so that other weights are other params; checked before it is read
    weights_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    dropout: networks.Rate

    @model_validator(mode="after")
    def _a_file_has_a_hash(self) -> "BuildParams":
        if (self.weights in (None, "imagenet")) != (self.weights_sha256 is None):
            raise ValueError("a file of weights needs weights_sha256, and only that has one")
        return self


def build(
    params: BuildParams,
    *,
    image_shape: Shape,
    classes: int,
) -> networks.Model:
    """The backbone, the mean of each of its features, dropout, and a softmax; grey is repeated.

    A backbone with weights is frozen, until `unfreeze`; without, all of it is trained.
    """
    import keras
    from keras import layers

    inputs, *scaling = networks.raw_pixels(image_shape)
    pixels = networks.apply(scaling, inputs)
    if len(image_shape) == 2:
        pixels = layers.Concatenate()([pixels] * 3)
    if image_shape[:2] != (params.side, params.side):
        pixels = layers.Resizing(params.side, params.side)(pixels)
    backbone = _backbone(params, layers.Rescaling(*SCALES[params.backbone])(pixels))
    backbone.trainable = params.weights is None
    head = [layers.GlobalAveragePooling2D(), layers.Dropout(params.dropout)]
    return keras.Model(
        inputs, networks.apply([*head, networks.probabilities(classes)], backbone.output)
    )


def unfreeze(model: networks.Model, *, layers: networks.Count) -> None:
    """Let the last so many layers of the backbone train, counting those that have a kernel.

    Its batch normalizations stay in inference mode: the statistics of a few batches of other
    images would undo what the layers above have learnt.
    """
    with_kernel = [layer for layer in model.layers[:-1] if hasattr(layer, "kernel")]
    for layer in with_kernel[-layers:]:
        layer.trainable = True


def _backbone(params: BuildParams, pixels: networks.Model) -> networks.Model:
    """It ends in features (n, height, width, k); errors say what is wrong with its weights."""
    import keras

    network = getattr(keras.applications, params.backbone)
    key = f"build.weights: {params.weights}"
    with files.parsing(f"weights of {params.backbone}", key):
        if params.weights_sha256 and params.weights:
            digest = files.sha256(Path(params.weights))
            if digest != params.weights_sha256:
                raise errors.IntegrityError(
                    f"{key}: has the SHA-256 {digest}, which is not weights_sha256"
                )
        with warnings.catch_warnings(action="ignore"):  # that another size than 224 is unusual
            return network(include_top=False, weights=params.weights, input_tensor=pixels)
