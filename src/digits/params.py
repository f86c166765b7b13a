"""params.yaml, the only source of a value, checked whole before any work starts."""

from collections.abc import Mapping, MutableMapping
from pathlib import Path
from textwrap import shorten
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError, create_model
from pydantic_core import ErrorDetails

from digits.core.dataset import DataParams
from digits.core.errors import UsageError
from digits.core.files import StrictModel, read_yaml
from digits.data.splitting import SplitParams
from digits.data.validation.validate import ValidateParams
from digits.evaluation.drift import DriftParams
from digits.evaluation.gate import PromoteParams
from digits.models import available, build_params, builder
from digits.training.recipe import Recipe

PATH = Path("params.yaml")

Names = Annotated[list[str], Field(min_length=1)]


class TrainParams(StrictModel):
    """`train:`, without the models' own blocks, which `load` adds as fields."""

    threads: Annotated[int, Field(ge=1)]


class RegistryParams(StrictModel):
    """`registry:`; `name` is that of the registered model in MLflow."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)]


class Params(StrictModel):
    """The whole of params.yaml."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    models: Names
    data: DataParams
    # a field called `validate` would hide pydantic's own method
    validation: ValidateParams = Field(alias="validate")
    split: SplitParams
    train: TrainParams
    registry: RegistryParams
    promote: PromoteParams
    drift: DriftParams

    def recipe(self, model: str) -> Recipe:
        """The recipe of one model.

        Raises:
            UsageError: params.yaml has no block for it.
        """
        recipe: Recipe | None = getattr(self.train, f"recipe_{model}", None)
        if recipe is None:
            raise UsageError(f"{PATH} models: {model!r} has no block train.{model}")
        return recipe

    def of_training(self, model: str) -> dict[str, object]:
        """What makes one model what it is, flat, under the same names for all."""
        return {
            "model": model,
            "seed": self.seed,
            "classes": self.data.classes,
            "threads": self.train.threads,
            "picture": self.data.picture,
            **flatten(self.recipe(model).model_dump(exclude_unset=True)),
        }


def read(path: Path = PATH) -> dict[str, Any]:
    """The file as plain values.

    Raises:
        UsageError: it is missing or no YAML mapping.
    """
    try:
        raw = read_yaml(path)
    except FileNotFoundError:
        raise UsageError(f"{path}: not found; run from the project's folder") from None
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
    checked_by = _params_type(raw)
    try:
        params = checked_by.model_validate(raw)
    except ValidationError as error:
        findings = [_finding(detail, checked_by) for detail in error.errors(include_url=False)]
        raise UsageError(*findings) from None
    if untrainable := _untrainable(params):
        raise UsageError(*untrainable)
    return params


def set_keys(values: MutableMapping[str, Any], overrides: Mapping[str, Any]) -> None:
    """Set dotted keys in place, such as `train.cnn.fit.epochs`; nothing is checked but the names.

    Raises:
        UsageError: a key that is not there, one finding each.
    """
    unknown = []
    for key, value in overrides.items():
        *blocks, last = key.split(".")
        block: Any = values
        for name in blocks:
            block = block.get(name) if isinstance(block, MutableMapping) else None
        if isinstance(block, MutableMapping) and last in block:
            block[last] = value
        else:
            unknown.append(f"{PATH} {key}: unknown key")
    if unknown:
        raise UsageError(*unknown)


def value_of(key: str) -> Any:
    """The value of a dotted key in params.yaml as it is written there; None where it is not."""
    value: Any = read()
    for name in key.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


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
    blocks = raw["train"] if isinstance(raw.get("train"), dict) else {}
    named = raw["models"] if isinstance(raw.get("models"), list) else []
    # By fields of our own naming: a model may be called as an attribute of pydantic is.
    fields: dict[str, Any] = {
        f"recipe_{name}": (_recipe_type(name), Field(alias=name))
        for name in blocks
        if name in available()
    }
    for number, name in enumerate(named):
        if isinstance(name, str) and name in blocks and name not in available():
            # `_untrainable` says so in terms of `models:`
            fields[f"unknown_{number}"] = (Any, Field(alias=name))
    train = create_model("TrainParams", __base__=TrainParams, **fields)
    return create_model("Params", __base__=Params, train=(train, ...))


def _recipe_type(name: str) -> Any:
    return create_model("Recipe", __base__=Recipe, build=(build_params(name), ...))


def _untrainable(params: Params) -> list[str]:
    findings = []
    for model in dict.fromkeys(params.models):
        if params.models.count(model) > 1:
            times = params.models.count(model)
            findings.append(f"{PATH} models: {model!r} stands there {times} times; once is allowed")
        try:
            builder(model)
            params.recipe(model)
        except UsageError as error:
            findings.extend(error.findings)
    return findings


def _finding(error: ErrorDetails, checked_by: type[BaseModel]) -> str:
    key = _in_one_line(".".join(map(str, error["loc"])))
    if error["type"] == "missing":
        return f"{PATH} {key}: missing"
    if error["type"] == "extra_forbidden":
        allowed = ", ".join(_keys(checked_by, error["loc"][:-1]))
        return f"{PATH} {key}: unknown key; known here: {allowed}"
    if error["type"] in ("model_type", "dict_type"):
        return f"{PATH} {key}: {_shown(error['input'])}: input should be a mapping of keys"
    message = error["msg"].removeprefix("Value error, ")
    # of a whole block that contradicts itself the message says what matters
    found = "" if error["type"] == "value_error" else f"{_shown(error['input'])}: "
    return f"{PATH} {key}: {found}{message[0].lower()}{message[1:]}"


def _keys(block: Any, loc: tuple[int | str, ...]) -> list[str]:
    fields = {field.alias or name: field for name, field in block.model_fields.items()}
    return _keys(fields[str(loc[0])].annotation, loc[1:]) if loc else list(fields)


def _shown(value: object) -> str:
    return shorten(repr(value), 60, placeholder=" …")


def _in_one_line(text: str) -> str:
    return " ".join(text.split())
