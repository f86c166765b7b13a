"""params.yaml, the only source of a value, checked as a whole before any work starts."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PrivateAttr

from digits.models import available, model_file
from digits.training.recipe import Distribute, FineTuneRecipe, Recipe
from imageproof.artifacts import WORKSPACE
from imageproof.base import DataParams, StrictModel, errors, files
from imageproof.data import split_params
from imageproof.data.validation import validate
from imageproof.dvc import params_yaml
from imageproof.judge import confidence, disturbances, drift, limits

# DVC's run cache overlooks a change of keys with these names in a block: its issue 10296.
OVERLOOKED = {"size", "nfiles"}


class TrainParams(StrictModel):
    """`train:`; what all trainings share. `Params.recipe` gives a model's block."""

    threads: Annotated[int, Field(ge=1, le=1024)]
    distribute: Distribute


class ProjectParams(StrictModel):
    """`project:`; the name tells this project from others on the same servers."""

    # Every service takes these characters, and so do files; Prefect's keys lose further hyphens.
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=40)]


class Params(StrictModel):
    """The whole of params.yaml."""

    project: ProjectParams
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    models: Annotated[list[str], Field(min_length=1)]
    data: DataParams
    # a field called `validate` would hide pydantic's own method
    validation: validate.ValidateParams = Field(alias="validate")
    split: split_params.SplitParams
    train: TrainParams
    behaviour: disturbances.BehaviourParams
    confidence: confidence.ConfidenceParams
    promote: limits.PromoteParams
    drift: drift.DriftParams

    _recipes: dict[str, Any] = PrivateAttr(default_factory=dict)

    def recipe(self, model: str) -> Any:
        """A model's block under `train:`, a `Recipe` or its file's own; a UsageError without."""
        if model not in self._recipes:
            raise errors.UsageError(
                f"{params_yaml.PATH} models: {model!r} has no block train.{model}"
            )
        return self._recipes[model]

    def class_names(self) -> list[str]:
        """One name per class: of this file, else of the packed data, else the numbers."""
        return WORKSPACE.class_names(self.data.classes, self.data.class_names)

    def logged_params(self, model: str) -> dict[str, object]:
        """The parameters that determine one model's training, flattened."""
        return {
            "model": model,
            **self.common_settings(),
            "threads": self.train.threads,
            **files.flatten(self.data.model_dump(include={"image"})),
            **files.flatten(self.recipe(model).model_dump(exclude_unset=True)),
        }

    def common_settings(self) -> dict[str, Any]:
        """What every training is told beside its recipe; see `keras_model.Training`."""
        return {
            "classes": self.data.classes,
            "seed": self.seed,
            "distribute": self.train.distribute,
        }


def _nested(values: Any, prefix: str) -> Iterator[str]:
    """The dotted key of every value and block, also of those in lists, which have their number."""
    pairs = values.items() if isinstance(values, dict) else enumerate(values)
    for key, value in pairs:
        yield f"{prefix}{key}"
        if isinstance(value, dict | list):
            yield from _nested(value, f"{prefix}{key}.")


def load(path: Path = params_yaml.PATH) -> Params:
    """Read and check the file; a UsageError names per fault key, value and what is allowed."""
    return check(params_yaml.read(path))


def check(raw: dict[str, Any]) -> Params:
    """Check plain values as the content of params.yaml; raises as `load`."""
    train = raw.get("train")
    blocks = dict(train) if isinstance(train, dict) else {}
    models = {name: blocks.pop(name) for name in sorted(blocks.keys() & available())}
    recipes: dict[str, Any] = {}
    findings = [
        f"{params_yaml.PATH} train.{key}: DVC overlooks a change of this name; choose another"
        for key in _nested(models, "")
        if key.split(".")[-1] in OVERLOOKED
    ]
    with _collecting(findings):
        # without a model's block `train` stays as it is, whatever it is
        params = params_yaml.validated(Params, raw | ({"train": blocks} if models else {}))
    for model, block in models.items():
        with _collecting(findings):
            recipes[model] = _recipe(model, block)
    if not findings:
        params._recipes.update(recipes)
        if len(params.models) > len({*params.models}):
            findings.append(f"{params_yaml.PATH} models: each model may be listed once")
        for model in dict.fromkeys(params.models):
            with _collecting(findings):
                model_file(model)
                params.recipe(model)
    if findings:
        raise errors.UsageError(*findings)
    return params


@contextmanager
def _collecting(findings: list[str]) -> Iterator[None]:
    try:
        yield
    except errors.UsageError as error:
        findings += error.findings


def _recipe(model: str, block: Any) -> Any:
    file = model_file(model)
    key = f"train.{model}"
    if hasattr(file, "BuildParams") and isinstance(block, dict) and "build" in block:
        build = params_yaml.validated(file.BuildParams, block["build"], f"{key}.build")
        block = block | {"build": build}
    default = FineTuneRecipe if hasattr(file, "unfreeze") else Recipe
    return params_yaml.validated(getattr(file, "Recipe", default), block, key)
