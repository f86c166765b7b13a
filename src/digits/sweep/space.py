"""The space of a sweep: which keys of `train.<model>` vary, each in a distribution of Optuna's."""

import json
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from digits import params
from digits.core.errors import UsageError
from digits.core.yaml_files import read_yaml

Values = dict[str, Any]
Space = dict[str, BaseDistribution]

FORMS = "allowed is a range {low: …, high: …}, with step or log if you like, or a list of choices"


def read_space(path: Path, *, model: str, raw: Values) -> Space:
    """Read a YAML mapping from keys of `train.<model>` to a range or a list of choices.

    Args:
        path: The file.
        model: The model whose keys it names, such as `fit.batch_size`.
        raw: The content of params.yaml; it must allow both ends of a range, and every choice.

    Raises:
        UsageError: the file is missing or no such mapping; a key or a value is not allowed.
    """
    try:
        entries = read_yaml(path)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    if not isinstance(entries, dict) or not entries:
        raise UsageError(f"{path}: names no key of train.{model}; for each, {FORMS}")
    space = {}
    for key, entry in entries.items():
        try:
            space[key] = _distribution(entry)
        except (TypeError, ValueError) as error:
            raise UsageError(f"{path} {key}: {error}; {FORMS}") from None
        for value in _extremes(space[key]):
            try:
                params.check(override(raw, model, {key: value}))
            except UsageError as error:
                raise UsageError(*(f"{path}: {finding}" for finding in error.findings)) from None
    return space


def _distribution(entry: object) -> BaseDistribution:
    """Convert one entry of the file to an Optuna distribution; Optuna's errors pass."""
    if isinstance(entry, list):
        # as JSON, because a choice may be a list, which Optuna cannot store
        return CategoricalDistribution([json.dumps(choice) for choice in entry])
    if isinstance(entry, dict):
        whole = all(isinstance(value, int) for value in entry.values())
        return IntDistribution(**entry) if whole else FloatDistribution(**entry)
    raise ValueError(f"{entry!r} is neither a range nor a list")


def _extremes(distribution: BaseDistribution) -> list[Any]:
    """If params.yaml allows these values, it allows all values of the distribution."""
    if isinstance(distribution, CategoricalDistribution):
        return [json.loads(str(choice)) for choice in distribution.choices]
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    return [distribution.low, distribution.high]


def values_of(trial_params: Mapping[str, Any]) -> Values:
    """Decode a trial's Optuna params: value by key of `train.<model>`."""
    return {
        key: json.loads(value) if isinstance(value, str) else value
        for key, value in trial_params.items()
    }


def override(raw: Values, model: str, values: Mapping[str, Any]) -> Values:
    """A copy of params.yaml's content with these keys of `train.<model>` set.

    Raises:
        UsageError: `train.<model>` has no such key.
    """
    changed = deepcopy(raw)
    params.set_keys(changed, {f"train.{model}.{key}": value for key, value in values.items()})
    return changed
