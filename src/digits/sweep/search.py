"""A whole sweep: trials of a study, then its best settings against the defaults."""

import json
import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from statistics import mean, variance
from typing import Any

from optuna.trial import TrialState

from digits import params
from digits.project import as_project
from digits.sweep.trial import Spec, open_study
from imageproof.base.errors import ImageproofError, one_line
from imageproof.base.params_yaml import at
from imageproof.mlflow import runs


def search(
    spec: Spec, train_all: Callable[[list[Spec]], list[Any]], *, trials: int, seeds: int
) -> tuple[str, str]:
    """Run so many more trials, then train best and default settings with so many other seeds.

    `train_all` gives for each trial the accuracy, None if it was pruned, or the error. Returns
    the verdict, and the command that trains with the best. ImageproofError if every trial fails, or
    one of the last trainings does.
    """
    study, checked = open_study(spec), params.check(spec.raw)
    with runs.active_run(
        spec.study,
        what="Search for better params, by the flow `sweep`; its child runs are its trials.",
        experiment=as_project(checked).part("sweeps"),
        params={"model": spec.model} | {f"space.{k}": str(v) for k, v in spec.space.items()},
        tags={},
    ) as run:
        spec = spec.model_copy(update={"parent_run": run.info.run_id})
        numbers = range(len(study.trials), len(study.trials) + trials)
        outcomes = train_all([_copy(spec, f"trial {n}", checked.seed + n) for n in numbers])
        errors = [one_line(e, width=500) for e in outcomes if isinstance(e, Exception)]
        complete = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
        if len(errors) == trials or not complete:
            raise ImageproofError(f"study {spec.study}: no trial ran to its end", *errors[-3:])
        values = study.best_trial.user_attrs["values"]
        others = range(checked.seed + 1, checked.seed + 1 + seeds)  # its own may favour the best
        both = {"best": values, "default": {}}
        accuracies = train_all(
            [_copy(spec, f"{k}, seed {n}", n, values=both[k]) for k in both for n in others]
        )
        for error in filter(lambda each: isinstance(each, Exception), accuracies):
            raise ImageproofError(one_line(error, width=500))
        metrics, verdict = compare(accuracies[:seeds], accuracies[seeds:])
        runs.log_metrics(metrics)
        best = command(spec.raw, spec.model, values)
        runs.log_text(f"{verdict}\n{best}\n", "best.txt")
    return verdict, best


def _copy(spec: Spec, name: str, seed: int, **update: Any) -> Spec:
    return spec.model_copy(update={"name": name, "seed": seed, **update})


def compare(best: Sequence[float], default: Sequence[float]) -> tuple[dict[str, float], str]:
    """The difference of the means with its standard error (Welch 1947), and both in one line."""
    difference = mean(best) - mean(default)
    error = math.sqrt(sum(variance(each) / len(each) for each in (best, default)))
    distance = difference / error if error else math.copysign(math.inf, difference)
    return (
        {"difference": difference, "standard_error": error},
        f"val_accuracy {mean(best):.4f} against {mean(default):.4f} by default: {difference:+.4f},"
        f" {distance if difference else 0:+.1f} standard errors over {len(best)} seeds",
    )


def command(raw: Mapping[str, Any], model: str, values: Mapping[str, Any]) -> str:
    """The experiment with these values; `++` lets DVC add a key that params.yaml leaves out."""
    keys = {key: f"train.{model}.{key}" for key in values}
    settings = [
        f"{'++' if at(raw, keys[key]) is None else ''}{keys[key]}={json.dumps(value)}"
        for key, value in values.items()
    ]
    return shlex.join(["dvc", "exp", "run", *(word for each in settings for word in ("-S", each))])
