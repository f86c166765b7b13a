"""The models by name: each module here holds one `build`, and its arguments are its params block.

A new model is one file `models/<name>.py` with a `build` function, and one block
`train.<name>` in params.yaml. What several models share lies in files that begin with `_`.
"""

import inspect
from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, create_model

from digits.core.errors import UsageError

if TYPE_CHECKING:
    import keras

Builder = Callable[..., "keras.Model"]

# what the data decides; every other argument of a builder is the user's to set
_FROM_DATA = ("image_shape", "classes")


def available() -> list[str]:
    """Names of all models that have a builder."""
    names = (module.name for module in iter_modules(__path__))
    return sorted(name for name in names if not name.startswith("_"))


def builder(name: str) -> Builder:
    """The function that builds the named model.

    It takes `image_shape` (height, width), `classes`, and the model's own keyword
    arguments; it returns a Keras model from images (n, height, width) of 0…255 to
    class probabilities float32 (n, classes). Loading it does not load Keras.

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
    """The pydantic model of `train.<name>.build`, made from the builder's own arguments."""
    arguments = inspect.signature(builder(name)).parameters.values()
    fields: dict[str, Any] = {
        argument.name: (
            argument.annotation,
            ... if argument.default is argument.empty else argument.default,
        )
        for argument in arguments
        if argument.name not in _FROM_DATA
    }
    config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
    return create_model("BuildParams", __config__=config, **fields)
