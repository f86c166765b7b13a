"""params.yaml, the only source of a value, checked as a whole before any work starts."""

import reprlib
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, Field, PrivateAttr, ValidationError
from pydantic_core import ErrorDetails

from digits.data.splitting import SplitParams
from digits.data.validation.validate import ValidateParams
from digits.evaluation.behaviour import BehaviourParams
from digits.models import available, build_params, builder
from digits.toolkit.dataset import DataParams
from digits.toolkit.errors import UsageError
from digits.toolkit.files import StrictModel, flatten, read_yaml
from digits.toolkit.judgement.confidence import ConfidenceParams
from digits.toolkit.judgement.drift import DriftParams
from digits.toolkit.judgement.gate import PromoteParams
from digits.training.recipe import Distribute, Recipe

PATH = Path("params.yaml")
Block = TypeVar("Block", bound=BaseModel)


class TrainParams(StrictModel):
    """`train:`; what all trainings share. `Params.recipe` gives a model's block."""

    threads: Annotated[int, Field(ge=1)]
    distribute: Distribute


class ProjectParams(StrictModel):
    """`project:`; the name tells this project from others on the same servers."""

    # Every service takes these characters, and so do files; Prefect's keys lose further hyphens.
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=40)]

    def part(self, part: str) -> str:
        return f"{self.name}-{part}"


class TrackingParams(StrictModel):
    """`tracking:`; what MLflow records beside the results."""

    system_metrics: bool


class Params(StrictModel):
    """The whole of params.yaml."""

    project: ProjectParams
    tracking: TrackingParams
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    models: Annotated[list[str], Field(min_length=1)]
    data: DataParams
    # a field called `validate` would hide pydantic's own method
    validation: ValidateParams = Field(alias="validate")
    split: SplitParams
    train: TrainParams
    behaviour: BehaviourParams
    confidence: ConfidenceParams
    promote: PromoteParams
    drift: DriftParams

    _recipes: dict[str, Recipe] = PrivateAttr(default_factory=dict)

    def recipe(self, model: str) -> Recipe:
        """The recipe of one model, its block under `train:`; a UsageError if it has none."""
        if model not in self._recipes:
            raise UsageError(f"{PATH} models: {model!r} has no block train.{model}")
        return self._recipes[model]

    def of_training(self, model: str) -> dict[str, object]:
        """The parameters that determine one model's training, flattened."""
        return {
            "model": model,
            "seed": self.seed,
            "classes": self.data.classes,
            "threads": self.train.threads,
            "distribute": self.train.distribute,
            "picture": self.data.picture,
            **flatten(self.recipe(model).model_dump(exclude_unset=True)),
        }


def read(path: Path = PATH) -> dict[str, Any]:
    """Read the file as plain values, unchecked; a UsageError if it is no YAML mapping."""
    try:
        raw = read_yaml(path)
    except FileNotFoundError:
        raise UsageError(f"{path}: not found; run from the project's folder") from None
    if not isinstance(raw, dict):
        raise UsageError(f"{path}: is a {type(raw).__name__}, not a mapping of blocks")
    return raw


def load(path: Path = PATH) -> Params:
    """Read and check the file; a UsageError names per fault key, value and what is allowed."""
    return check(read(path))


def project() -> ProjectParams:
    """`project` of the params.yaml in the current folder, whose other values may be wrong."""
    return _validated(ProjectParams, read().get("project"), "project")


def tracking() -> TrackingParams:
    return _validated(TrackingParams, read().get("tracking"), "tracking")


def check(raw: dict[str, Any]) -> Params:
    """Check plain values as the content of params.yaml; raises as `load`."""
    train = raw.get("train")
    blocks = dict(train) if isinstance(train, dict) else {}
    models = {name: blocks.pop(name) for name in sorted(blocks.keys() & available())}
    recipes: dict[str, Recipe] = {}
    findings: list[str] = []
    try:
        params = _validated(Params, raw | ({"train": blocks} if models else {}))
    except UsageError as error:
        findings += error.findings
    for model, block in models.items():
        try:
            if isinstance(block, dict) and "build" in block:
                build = _validated(build_params(model), block["build"], f"train.{model}.build")
                block = block | {"build": build}
            recipes[model] = _validated(Recipe, block, f"train.{model}")
        except UsageError as error:
            findings += error.findings
    if not findings:
        params._recipes.update(recipes)
        if len(params.models) > len({*params.models}):
            findings.append(f"{PATH} models: each model may be listed once")
        for model in dict.fromkeys(params.models):
            try:
                builder(model)
                params.recipe(model)
            except UsageError as error:
                findings += error.findings
    if findings:
        raise UsageError(*findings)
    return params


def set_keys(values: MutableMapping[str, Any], overrides: Mapping[str, Any]) -> None:
    """Set dotted keys such as `train.cnn.fit.epochs`, unchecked; a UsageError names the unknown."""
    unknown = []
    for key, value in overrides.items():
        block, last = _at(values, key.split(".")[:-1]), key.split(".")[-1]
        if isinstance(block, MutableMapping) and last in block:
            block[last] = value
        else:
            unknown.append(_unknown(key, block if isinstance(block, MutableMapping) else ()))
    if unknown:
        raise UsageError(*unknown)


def value_of(key: str) -> Any:
    """The unchecked value of a dotted key in params.yaml; None if there is no such key."""
    return _at(read(), key.split("."))


def _at(value: Any, names: list[str]) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, MutableMapping) else None
    return value


def _validated(kind: type[Block], raw: Any, where: str = "") -> Block:
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        details = error.errors(include_url=False)
        raise UsageError(*(_finding(detail, where, kind) for detail in details)) from None


def _finding(error: ErrorDetails, where: str, kind: type[BaseModel]) -> str:
    key = ".".join(filter(None, [where, *map(str, error["loc"])]))
    if error["type"] == "missing":
        return f"{PATH} {key}: missing"
    if error["type"] == "extra_forbidden":
        return _unknown(key, _keys(kind, error["loc"][:-1]))
    message = error["msg"].removeprefix("Value error, ")
    # the message of a block that contradicts itself says all
    value = "" if error["type"] == "value_error" else f"{reprlib.repr(error['input'])}: "
    return f"{PATH} {key}: {value}{message[0].lower()}{message[1:]}"


def _unknown(key: str, known: Iterable[str]) -> str:
    near = get_close_matches(key.split(".")[-1], known, n=1)
    return f"{PATH} {key}: unknown key{f'; did you mean {near[0]}?' if near else ''}"


def _keys(kind: type[BaseModel], names: Sequence[int | str]) -> list[str]:
    fields = {field.alias or name: field.annotation for name, field in kind.model_fields.items()}
    if not names:
        return [*fields]
    inner = fields.get(str(names[0]))
    blocks = [each for each in (inner, *get_args(inner)) if hasattr(each, "model_fields")]
    return _keys(blocks[0], names[1:]) if blocks else []
