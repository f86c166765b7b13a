"""The space of a sweep: which keys of `train.<model>` vary, over a range or a list of choices."""

import json
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import optuna

from digits import params
from digits.toolkit.errors import UsageError
from digits.toolkit.files import read_yaml
from digits.toolkit.params_yaml import set_keys

Values = dict[str, Any]  # by key of train.<model>, such as `fit.batch_size`
ALLOWED = "allowed is a range {low: …, high: …}, with step or log, or a list of choices"


def read_space(path: Path, *, model: str, raw: Values) -> Values:
    """Read a YAML mapping; UsageError unless params.yaml, `raw`, allows all its values."""
    try:
        space = read_yaml(path)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    if not isinstance(space, dict) or not space:
        raise UsageError(f"{path}: names no key of train.{model}; for each, {ALLOWED}")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    for key, entry in space.items():
        trial = optuna.create_study().ask()
        try:
            propose(trial, {key: entry})
            found: Any = trial.distributions[key]
            for value in entry if isinstance(entry, list) else (found.low, found.high):
                params.check(override(raw, model, {key: value}))
        except UsageError as error:
            raise UsageError(*(f"{path}: {finding}" for finding in error.findings)) from None
        except (TypeError, ValueError) as error:
            raise UsageError(f"{path} {key}: {error}; {ALLOWED}") from None
    return dict(space)


def propose(trial: optuna.Trial, space: Values) -> Values:
    """Let Optuna choose a value for each key; TypeError or ValueError if it cannot."""
    values = {}
    for key, entry in space.items():
        if isinstance(entry, list):
            # as JSON, because a choice may be a list, which Optuna cannot store
            choices = [json.dumps(choice) for choice in entry]
            values[key] = json.loads(trial.suggest_categorical(key, choices))
        elif isinstance(entry, dict):
            whole = all(isinstance(value, int) for value in entry.values())
            suggest: Any = trial.suggest_int if whole else trial.suggest_float
            values[key] = suggest(key, **entry)
        else:
            raise ValueError(f"{entry!r} is neither a range nor a list")
    return values


def override(raw: Values, model: str, values: Mapping[str, Any]) -> Values:
    """A copy of params.yaml's content with these keys of `train.<model>` set."""
    changed = deepcopy(raw)
    set_keys(changed, {f"train.{model}.{key}": value for key, value in values.items()})
    return changed
