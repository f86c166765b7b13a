"""params.yaml, the only source of a value, checked whole before any work starts."""

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic_core import ErrorDetails

from digits.data import DataParams
from digits.errors import UsageError
from digits.models import build_params, builder
from digits.recipe import Recipe
from digits.splitting import SplitParams
from digits.validation import ValidateParams

PATH = Path("params.yaml")

Names = Annotated[list[str], Field(min_length=1)]


class TrainParams(BaseModel):
    """`train:`, without the models' own blocks, which `load` adds as fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    threads: Annotated[int, Field(ge=1)]


class Params(BaseModel):
    """The whole of params.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    models: Names
    data: DataParams
    # a field called `validate` would hide pydantic's own method
    validation: ValidateParams = Field(alias="validate")
    split: SplitParams
    train: TrainParams

    def recipe(self, model: str) -> Recipe:
        """The recipe of one model.

        Raises:
            UsageError: params.yaml has no block for it.
        """
        recipe: Recipe | None = getattr(self.train, model, None)
        if recipe is None:
            raise UsageError(f"{PATH} models: {model!r} has no block train.{model}")
        return recipe


def read(path: Path = PATH) -> dict[str, Any]:
    """The file as plain values.

    Raises:
        UsageError: it is missing or no YAML mapping.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path}: not found; run from the project's folder") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise UsageError(f"{path}: is a {type(raw).__name__}, not a mapping of blocks")
    return raw


def load(path: Path = PATH) -> Params:
    """Read and check the file.

    Raises:
        UsageError: one line per finding: the key, what it was, what is allowed.
    """
    return check(read(path))


def check(raw: dict[str, Any]) -> Params:
    """Check plain values as the content of params.yaml; see `load`."""
    try:
        params = _params_type(raw).model_validate(raw)
    except ValidationError as error:
        raise UsageError(*map(_one_line, error.errors(include_url=False))) from None
    for model in params.models:
        builder(model)
        params.recipe(model)
    return params


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted keys; lists stay whole."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _params_type(raw: dict[str, Any]) -> type[Params]:
    blocks = raw.get("train")
    names = set(blocks) - set(TrainParams.model_fields) if isinstance(blocks, dict) else set()
    recipes: dict[str, Any] = {
        name: (create_model("Recipe", __base__=Recipe, build=(build_params(name), ...)), ...)
        for name in sorted(names)
    }
    train = create_model("TrainParams", __base__=TrainParams, **recipes)
    return create_model("Params", __base__=Params, train=(train, ...))


def _one_line(error: ErrorDetails) -> str:
    key = ".".join(map(str, error["loc"]))
    if error["type"] == "missing":
        return f"{PATH} {key}: missing"
    if error["type"] == "extra_forbidden":
        return f"{PATH} {key}: unknown key"
    message = error["msg"].removeprefix("Value error, ")
    found = "" if isinstance(error["input"], dict) else f"{error['input']!r}: "
    return f"{PATH} {key}: {found}{message[0].lower()}{message[1:]}"
