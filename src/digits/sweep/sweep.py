"""A whole sweep: the search below one MLflow run, then its best settings against the defaults."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import optuna

from digits.core.errors import DigitsError
from digits.sweep.search import POLL_S, Future, Search, Submit
from digits.sweep.space import Space, Values, override
from digits.sweep.trial import Outcome, Spec
from digits.sweep.verdict import Verdict, command
from digits.tracking import sweeps

_PARENT = "parent_run"


@dataclass(frozen=True)
class Sweep:
    """What all trials of a sweep have in common; the fields are those of `Spec`."""

    model: str
    raw: Values
    datasets: dict[str, str]
    source: str
    tracking_uri: str
    flow_run: str
    at_once: int | None = None
    parent_run: str = ""

    def spec(self, name: str, values: Values, *, seed: int | None = None) -> Spec:
        """The trial that has these values, and this seed instead of that of params.yaml."""
        raw = override(self.raw, self.model, values)
        return Spec(
            name=name,
            model=self.model,
            raw=raw if seed is None else {**raw, "seed": seed},
            datasets=self.datasets,
            source=self.source,
            tracking_uri=self.tracking_uri,
            parent_run=self.parent_run,
            flow_run=self.flow_run,
            at_once=self.at_once,
        )


class Found(NamedTuple):
    """What a sweep found: the best settings against the defaults, and the command that has them."""

    verdict: Verdict
    command: str

    def __str__(self) -> str:
        return f"{self.verdict}\n{self.command}"


def run(
    study: optuna.Study,
    sweep: Sweep,
    space: Space,
    submit: Submit,
    *,
    trials: int,
    parallel: int,
    seeds: int,
) -> Found:
    """Run so many more trials of the study, and compare the best of all with the defaults.

    Args:
        study: From `open_study`; it remembers the MLflow run that all its trials are children of.
        sweep: What the trials have in common.
        space: What varies.
        submit: Sends one trial to where it runs.
        trials: How many.
        parallel: Trials at once.
        seeds: Trainings of the best settings, and as many of the defaults.

    Raises:
        ServiceError: the tracking store does not answer.
        DigitsError: no trial ran to its end.
    """
    described = {"model": sweep.model, **{f"space.{key}": str(space[key]) for key in space}}
    known = study.user_attrs.get(_PARENT)
    with sweeps.parent(study.study_name, known=known, params=described) as parent:
        study.set_user_attr(_PARENT, parent)
        below, children = replace(sweep, parent_run=parent), sweeps.Children(parent)
        search = Search(study, below.spec, space, submit, children)
        try:
            search.run(trials, parallel=parallel)
            best = _best_values(study, search.failures)
            verdict = _compare(below, best, submit, parallel=parallel, seeds=seeds)
        except BaseException:
            children.stop_all("the sweep was interrupted")  # on a cluster they outlive this process
            raise
        found = Found(verdict, command(sweep.model, best))
        sweeps.log_results(
            {"difference": verdict.difference, "standard_error": verdict.standard_error},
            {"best.txt": f"{found}\n"},
        )
    return found


def _best_values(study: optuna.Study, failures: Sequence[str]) -> Values:
    if not study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE]):
        raise DigitsError(f"study {study.study_name}: no trial ran to its end", *failures[-3:])
    values: Values = study.best_trial.user_attrs["values"]
    return values


def _compare(sweep: Sweep, best: Values, submit: Submit, *, parallel: int, seeds: int) -> Verdict:
    # other seeds than the search had, by whose luck the best was chosen
    first = sweep.raw["seed"] + 1
    of_best, of_default = (
        [
            sweep.spec(f"{name}, seed {seed}", values, seed=seed)
            for seed in range(first, first + seeds)
        ]
        for name, values in (("best", best), ("default", {}))
    )
    accuracies = _run_all([*of_best, *of_default], submit, parallel=parallel)
    return Verdict(accuracies[:seeds], accuracies[seeds:])


def _run_all(specs: Sequence[Spec], submit: Submit, *, parallel: int) -> list[float]:
    """The objective of each, in their order; the first error ends all."""
    waiting = list(enumerate(specs))
    running: dict[int, Future] = {}
    values: dict[int, float] = {}
    while waiting or running:
        while waiting and len(running) < parallel:
            number, spec = waiting.pop(0)
            running[number] = submit(spec.model_dump())
        time.sleep(POLL_S)
        for number in [number for number, future in running.items() if future.done()]:
            values[number] = Outcome.model_validate(running.pop(number).result()).value
    return [values[number] for number in range(len(specs))]
