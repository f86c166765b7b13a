"""The catalogue of models: one file per network, with a class `BuildParams` and a function `build`.

A new model is one file `models/<name>.py`, and one block `train.<name>` in params.yaml whose
`build:` is what `BuildParams` allows. Files that begin with `_` hold what several models share.
A file may have `adapt(model, images)` besides: it sets what is not trained, such as a
normalization, from the training images uint8 (n, …) before the fit. One with
`unfreeze(model, layers=…)` is trained in two phases, and has a block `fine_tune:`.
The file of a model that is not Keras's has a class `Recipe`, which is what its block allows.
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from imageproof.base import errors


def available() -> list[str]:
    """The names of all models that have a file here, sorted."""
    names = (module.name for module in iter_modules(__path__))
    return sorted(name for name in names if not name.startswith("_"))


def model_file(name: str) -> Any:
    """The module of the named model; importing it does not import Keras.

    Its `build` takes `BuildParams`, `image_shape` (height, width) or (height, width, 3) and
    `classes`; it returns a Keras model from images uint8 (n, *image_shape) to class probabilities
    float32 (n, classes). A UsageError if there is no such model.
    """
    names = available()
    if name not in names:
        have = f"there are {', '.join(names)}; add src/digits/models/{name}.py"
        raise errors.UsageError(f"params.yaml models: {name!r} has no builder; {have}")
    return import_module(f"digits.models.{name}")
