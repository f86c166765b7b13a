"""params.yaml, the only source of a value, checked whole before any work starts."""

from collections.abc import Mapping, MutableMapping
from math import inf
from pathlib import Path
from textwrap import shorten
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer, ComposerError, MaxDepthExceededError
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import Node, ScalarNode

from digits.core.dataset import DataParams
from digits.core.errors import UsageError
from digits.data.splitting import SplitParams
from digits.data.validation.validate import ValidateParams
from digits.evaluation.drift import DriftParams
from digits.evaluation.gate import PromoteParams
from digits.models import available, build_params, builder
from digits.training.recipe import Recipe

PATH = Path("params.yaml")

# Of YAML that a person writes; params.yaml has 300 values.
MAX_BYTES = 100_000
MAX_DEPTH = 50
MAX_TEXT = 1000  # characters of one value
MAX_VALUES = 5000

Names = Annotated[list[str], Field(min_length=1)]


class TrainParams(BaseModel):
    """`train:`, without the models' own blocks, which `load` adds as fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    threads: Annotated[int, Field(ge=1)]


class RegistryParams(BaseModel):
    """`registry:`; `name` is that of the registered model in MLflow."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)]


class Params(BaseModel):
    """The whole of params.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

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


def read_yaml(path: Path) -> Any:
    """A YAML file that a person wrote, as plain values.

    Raises:
        UsageError: it is no YAML, or larger, deeper or longer than a person writes it.
        OSError: it cannot be read.
    """
    # The parser of DVC, so that what is checked is what DVC hashes: YAML 1.2, in which
    # 1e-05, as `dvc exp run -S` writes it, is a number, and the same key twice an error.
    yaml = YAML(typ="safe")
    yaml.Composer, yaml.max_depth = _Composer, MAX_DEPTH
    text = _read_bytes(path)
    try:
        return yaml.load(text.decode("utf-8"))
    except MaxDepthExceededError:
        raise UsageError(f"{path}: nested deeper than the {MAX_DEPTH} levels allowed") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise UsageError(f"{path}:{line}: not YAML: {error.problem or error.context}") from None
    except Exception as error:  # each type of value has errors of its own
        raise UsageError(f"{path}: not YAML: {_in_one_line(str(error))}") from None


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


def _read_bytes(path: Path) -> bytes:
    if path.exists() and not path.is_file():
        raise UsageError(f"{path}: is no regular file")
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise UsageError(f"{path}: over {MAX_BYTES:,} bytes long; at most that is allowed")
    return content


class _Composer(Composer):
    """Refuses, before values are made of it, YAML that is too long by itself or by its aliases."""

    def __init__(self, loader: Any = None) -> None:
        super().__init__(loader)
        self.warn_double_anchors = False

    def get_single_node(self) -> Any:
        """The whole document."""
        node = super().get_single_node()
        if node is not None and _count(node, {}) > MAX_VALUES:
            problem = f"over {MAX_VALUES:,} values, counting what each alias stands for"
            raise ComposerError(None, None, problem, node.start_mark)
        return node


def _count(node: Node, counts: dict[int, float]) -> float:
    """The number of values in a node; infinite where it contains itself."""
    if isinstance(node, ScalarNode):
        if (length := len(node.value)) > MAX_TEXT:
            problem = f"a value of {length:,} characters; at most {MAX_TEXT:,} are allowed"
            raise ComposerError(None, None, problem, node.start_mark)
        return 1
    if id(node) not in counts:
        counts[id(node)] = inf
        entries = (entry if isinstance(entry, tuple) else (entry,) for entry in node.value)
        counts[id(node)] = 1 + sum(_count(child, counts) for entry in entries for child in entry)
    return counts[id(node)]


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
