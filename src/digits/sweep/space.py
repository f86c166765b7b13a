"""The space of a sweep: which keys of `train.<model>` vary, and between what."""

import json
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Annotated, Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from digits import params
from digits.core.errors import UsageError
from digits.core.files import read_yaml

Values = dict[str, Any]


class Range(BaseModel):
    """Numbers from `low` to `high`, both included; `log` for those that span orders of magnitude.

    Whole numbers are proposed where both ends are whole.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    low: int | float
    high: int | float
    step: int | float | None = None
    log: bool = False

    @model_validator(mode="after")
    def _can_be_drawn_from(self) -> "Range":
        if self.low >= self.high:
            raise ValueError(f"low {self.low} is not below high {self.high}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log needs low above 0 and no step")
        if self.step is not None and self.step <= 0:
            raise ValueError(f"step {self.step} is not above 0")
        if self.whole and isinstance(self.step, float):
            raise ValueError(f"step {self.step} is not whole, as low and high are")
        return self

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are proposed."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def distribution(self) -> BaseDistribution:
        """The same as Optuna has it."""
        if self.whole:
            return IntDistribution(
                int(self.low), int(self.high), log=self.log, step=int(self.step or 1)
            )
        return FloatDistribution(float(self.low), float(self.high), log=self.log, step=self.step)

    def __str__(self) -> str:
        step = f", step {self.step}" if self.step else ""
        return f"{self.low} to {self.high}{step}{', log' if self.log else ''}"

    def ends(self) -> list[Any]:
        """Values that must be allowed for all to be."""
        return [self.low, self.high]


def _form(value: object) -> str | None:
    if isinstance(value, dict | Range):
        return "range"
    return "choices" if isinstance(value, list) else None


Choices = Annotated[list[Any], Field(min_length=2)]
Domain = Annotated[
    Annotated[Range, Tag("range")] | Annotated[Choices, Tag("choices")],
    Discriminator(
        _form,
        custom_error_type="form",
        custom_error_message="is neither a range {low: …, high: …} nor a list of choices",
    ),
]
Space = dict[str, Domain]

_SPACE: TypeAdapter[Space] = TypeAdapter(Annotated[Space, Field(min_length=1)])


def read_space(path: Path, *, model: str, raw: Values) -> Space:
    """Read a YAML mapping from dotted keys below `train.<model>` to a `Range` or a list of choices.

    Raises:
        UsageError: the file is missing or no such mapping; a key that `raw`, the content of
            params.yaml, does not have; a value that params.yaml may not hold there.
    """
    try:
        space = _SPACE.validate_python(read_yaml(path))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except ValidationError as error:
        raise UsageError(*(_one_line(path, e) for e in error.errors(include_url=False))) from None
    for key, values in space.items():
        for value in values.ends() if isinstance(values, Range) else values:
            _check(path, raw, model, {key: value})
    return space


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """What Optuna is told of the space."""
    return {
        # as JSON, because a choice may be a list, which Optuna cannot store
        key: values.distribution()
        if isinstance(values, Range)
        else CategoricalDistribution([json.dumps(value) for value in values])
        for key, values in space.items()
    }


def propose(space: Space, study: optuna.Study) -> tuple[optuna.Trial, Values]:
    """A new trial of the study, and its values by key."""
    trial = study.ask(distributions(space))
    values = {
        key: trial.params[key] if isinstance(space[key], Range) else json.loads(trial.params[key])
        for key in space
    }
    return trial, values


def override(raw: Values, model: str, values: Mapping[str, Any]) -> Values:
    """A copy of params.yaml's content with these keys of `train.<model>` set."""
    changed = deepcopy(raw)
    params.set_keys(changed, {f"train.{model}.{key}": value for key, value in values.items()})
    return changed


def _check(path: Path, raw: Values, model: str, values: Values) -> None:
    try:
        params.check(override(raw, model, values))
    except UsageError as error:
        raise UsageError(*(f"{path}: {finding}" for finding in error.findings)) from None


def _one_line(path: Path, error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"] if part not in ("range", "choices"))
    return f"{path} {key}: {error['msg'].removeprefix('Value error, ')}"
