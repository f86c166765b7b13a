"""A whole sweep: search the space, then compare the best settings with the defaults."""

import json
import math
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from statistics import mean, variance
from typing import Any, NamedTuple, Protocol

import optuna
from optuna.trial import TrialState

from digits.core.errors import DigitsError, ServiceError, one_line
from digits.sweep.space import Space, Values, override, values_of
from digits.sweep.study import ask
from digits.sweep.trial import Spec
from digits.tracking.sweeps import OBJECTIVE, PRUNED_TAG, log_results, parent_run

POLL_S = 1.0
PARENT = "parent_run"  # the study's attribute that names its MLflow run


class Future(Protocol):
    """A trial that was sent to where it runs."""

    def done(self) -> bool:
        """Whether it has ended."""

    def result(self) -> object:
        """Raise the error that it ended with, if any."""


Submit = Callable[[Spec], Future]


class Result(NamedTuple):
    """The best settings against the defaults, and the command that trains with them.

    `best` and `default` hold validation accuracies, one per seed.
    """

    best: list[float]
    default: list[float]
    command: str

    @property
    def difference(self) -> float:
        """Mean of the best settings minus mean of the defaults."""
        return mean(self.best) - mean(self.default)

    @property
    def standard_error(self) -> float:
        """Standard error of the difference; the two variances may differ (Welch 1947)."""
        return math.sqrt(sum(variance(each) / len(each) for each in (self.best, self.default)))

    @property
    def distance(self) -> float:
        """The difference in standard errors; infinite if no accuracy varies with the seed."""
        if self.standard_error:
            return self.difference / self.standard_error
        return math.copysign(math.inf, self.difference) if self.difference else 0.0

    @property
    def verdict(self) -> str:
        """Both accuracies, their difference and its size in standard errors, in one line."""
        return (
            f"val_accuracy {mean(self.best):.4f} against {mean(self.default):.4f} by default:"
            f" {self.difference:+.4f},"
            f" {self.distance:+.1f} standard errors over {len(self.best)} seeds"
        )

    def __str__(self) -> str:
        return f"{self.verdict}\n{self.command}"


@dataclass
class Sweep:
    """Trials of a study on a task runner, all of them children of one MLflow run.

    We read their learning curves from MLflow and report them to Optuna here: a worker must reach
    the tracking server, and need not reach Optuna's storage.

    Attributes:
        study: From `open_study`; it remembers the sweep's MLflow run.
        space: What varies.
        template: What the trials have in common; its `raw` is the content of params.yaml.
        submit: Sends one trial to where it runs.
        parallel: Trials at a time.
    """

    study: optuna.Study
    space: Space
    template: Spec
    submit: Submit
    parallel: int
    _running: dict[str, optuna.Trial] = field(default_factory=dict)
    _failures: list[str] = field(default_factory=list)

    def run(self, *, trials: int, seeds: int) -> Result:
        """Run more trials, then compare the best settings of all trials with the defaults.

        Args:
            trials: How many more.
            seeds: Trainings of the best settings, and as many of the defaults.

        Raises:
            ServiceError: the tracking store does not answer.
            DigitsError: no trial has completed.
        """
        model, known = self.template.model, self.study.user_attrs.get(PARENT)
        logged = {"model": model, **{f"space.{key}": str(self.space[key]) for key in self.space}}
        with parent_run(self.study.study_name, known=known, params=logged) as self._trial_runs:
            self.study.set_user_attr(PARENT, self._trial_runs.parent_id)
            self._search(trials)
            best = self._best_values()
            result = Result(*self._accuracies(best, seeds), command(model, best))
            log_results(
                {"difference": result.difference, "standard_error": result.standard_error},
                f"{result}\n",
            )
        return result

    def _search(self, trials: int) -> None:
        """Run trials to their ends. After an error or a signal, fail those that still run."""
        try:
            specs = (self._propose() for _ in range(trials))
            for name, future in self._ended(specs, watch=self._watch):
                self._tell(name, self._running[name], future)
                del self._running[name]
        finally:
            for trial in self._running.values():
                self.study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)

    def _propose(self) -> Spec:
        trial = ask(self.study, self.space)
        spec = self._spec(f"trial {trial.number}", values_of(trial.params))
        self._running[spec.name] = trial
        return spec

    def _watch(self) -> None:
        """Stop the trials whose learning curve is below the median."""
        for name, run_id in self._trial_runs.running().items():
            trial = self._running.get(name)
            if trial and self._report(trial, run_id) and trial.should_prune():
                self._trial_runs.stop(run_id, "below the median")

    def _report(self, trial: optuna.Trial, run_id: str) -> bool:
        """Report the new points of the learning curve to Optuna; whether there are any."""
        curve = self._trial_runs.learning_curve(run_id)
        known = self.study.get_trials(deepcopy=False)[trial.number].intermediate_values
        new = sorted(curve.keys() - known.keys())
        for epoch in new:
            trial.report(curve[epoch], epoch)
        return bool(new)

    def _tell(self, name: str, trial: optuna.Trial, future: Future) -> None:
        try:
            future.result()
        except ServiceError:  # the cluster is gone, and with it the other trials
            raise
        except Exception as error:  # a trial that fails says something about its values
            self._failures.append(one_line(error, width=500))
            self.study.tell(trial, state=TrialState.FAIL)
            return
        run = self._trial_runs.last(name)
        self._report(trial, run.info.run_id)
        trial.set_user_attr("run_id", run.info.run_id)
        if PRUNED_TAG in run.data.tags:
            self.study.tell(trial, state=TrialState.PRUNED)
        else:
            self.study.tell(trial, run.data.metrics[OBJECTIVE])

    def _best_values(self) -> Values:
        if not self.study.get_trials(deepcopy=False, states=[TrialState.COMPLETE]):
            reasons = self._failures[-3:]
            raise DigitsError(f"study {self.study.study_name}: no trial ran to its end", *reasons)
        return values_of(self.study.best_trial.params)

    def _accuracies(self, best: Values, seeds: int) -> tuple[list[float], list[float]]:
        """Train the best values and the defaults with each seed; the first error ends all."""
        first = self.template.raw["seed"] + 1  # the seed of the search may favour the best values
        specs = [
            self._spec(f"{name}, seed {seed}", values, seed=seed)
            for name, values in (("best", best), ("default", {}))
            for seed in range(first, first + seeds)
        ]
        for _, future in self._ended(iter(specs)):
            future.result()
        accuracies = [self._trial_runs.last(spec.name).data.metrics[OBJECTIVE] for spec in specs]
        return accuracies[:seeds], accuracies[seeds:]

    def _spec(self, name: str, values: Values, *, seed: int | None = None) -> Spec:
        """A trial with these values, and with this seed instead of the one in params.yaml."""
        raw = override(self.template.raw, self.template.model, values)
        raw |= {} if seed is None else {"seed": seed}
        parent = self._trial_runs.parent_id
        return self.template.model_copy(update={"name": name, "raw": raw, "parent_run": parent})

    def _ended(
        self, specs: Iterator[Spec], *, watch: Callable[[], None] = lambda: None
    ) -> Iterator[tuple[str, Future]]:
        """Run the trials, `parallel` at a time; yield name and future of each when it ended.

        A spec is taken from the iterator when there is room for it, and not earlier.
        """
        running: dict[str, Future] = {}
        while True:
            for spec in islice(specs, self.parallel - len(running)):
                running[spec.name] = self.submit(spec)
            if not running:
                return
            time.sleep(POLL_S)
            watch()
            for name in [name for name, future in running.items() if future.done()]:
                yield name, running.pop(name)


def command(model: str, values: Mapping[str, Any]) -> str:
    """The shell command that trains with these values of `train.<model>`."""
    settings = [
        f"-S {shlex.quote(f'train.{model}.{key}={json.dumps(value)}')}"
        for key, value in values.items()
    ]
    return " ".join(["dvc exp run", *settings])
