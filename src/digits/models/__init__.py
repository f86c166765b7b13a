"""The catalogue of models: one file per network, one `build` function per file.

A new model is one file `models/<name>.py` with a `build` function, and one block
`train.<name>` in params.yaml whose `build:` holds the function's arguments. Files that begin
with `_` hold what several models share.
"""

import inspect
from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, create_model

from digits.core.errors import UsageError
from digits.core.files import StrictModel

if TYPE_CHECKING:
    import keras

Builder = Callable[..., "keras.Model"]

# determined by the data; params.yaml sets every other argument of a builder
_FROM_DATA = ("image_shape", "classes")


def available() -> list[str]:
    """Names of all models, sorted."""
    names = (module.name for module in iter_modules(__path__))
    return sorted(name for name in names if not name.startswith("_"))


def builder(name: str) -> Builder:
    """The function that builds the named model.

    It takes `image_shape` (height, width), `classes`, and the model's own keyword
    arguments; it returns a Keras model from images (n, height, width) of 0…255 to
    class probabilities float32 (n, classes), or (n, members, classes) for an ensemble.
    Importing the function does not import Keras.

    Raises:
        UsageError: there is no such model.
    """
    if name not in available():
        raise UsageError(
            f"params.yaml models: {name!r} has no builder; there are {', '.join(available())}; "
            f"add src/digits/models/{name}.py with a function `build`"
        )
    build: Builder = import_module(f"digits.models.{name}").build
    return build


def build_params(name: str) -> type[BaseModel]:
    """The pydantic model of `train.<name>.build`, made from the builder's arguments."""
    arguments = inspect.signature(builder(name)).parameters.values()
    fields: dict[str, Any] = {
        arg.name: (arg.annotation, ... if arg.default is arg.empty else arg.default)
        for arg in arguments
        if arg.name not in _FROM_DATA
    }
    return create_model("BuildParams", __base__=StrictModel, **fields)
