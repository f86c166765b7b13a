"""The catalogue of models: one file per network, with a class `BuildParams` and a function `build`.

A new model is one file `models/<name>.py`, and one block `train.<name>` in params.yaml whose
`build:` is what `BuildParams` allows. Files that begin with `_` hold what several models share.
"""

from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from digits.toolkit.errors import UsageError
from digits.toolkit.files import StrictModel

Builder = Callable[..., Any]


def available() -> list[str]:
    names = (module.name for module in iter_modules(__path__))
    return sorted(name for name in names if not name.startswith("_"))


def builder(name: str) -> Builder:
    """The function that builds the named model; importing it does not import Keras.

    It takes `BuildParams`, `image_shape` (height, width) and `classes`; it returns a Keras model
    from images (n, height, width) of 0…255 to class probabilities float32 (n, classes), or
    (n, members, classes) for an ensemble. A UsageError if there is no such model.
    """
    if name not in (known := available()):
        have = f"there are {', '.join(known)}; add src/digits/models/{name}.py"
        raise UsageError(f"params.yaml models: {name!r} has no builder; {have}")
    build: Builder = import_module(f"digits.models.{name}").build
    return build


def build_params(name: str) -> type[StrictModel]:
    """The class of `train.<name>.build` of an available model."""
    kind: type[StrictModel] = import_module(f"digits.models.{name}").BuildParams
    return kind
