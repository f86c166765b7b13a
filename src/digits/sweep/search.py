"""The search itself: trials proposed, sent out, watched, pruned, and told to Optuna."""

import time
from collections.abc import Callable, Mapping
from typing import Protocol

import optuna
from optuna.trial import TrialState

from digits.core.process import this_process
from digits.sweep.space import Space, Values, propose
from digits.sweep.study import PROCESS
from digits.sweep.trial import Outcome, Spec
from digits.tracking import store
from digits.tracking.sweeps import Children

POLL_S = 1.0


class Future(Protocol):
    """A trial on its way."""

    def done(self) -> bool:
        """Whether it is over."""

    def result(self) -> Mapping[str, object]:
        """Its `Outcome` as plain values, or the error it ended with."""


Submit = Callable[[dict[str, object]], Future]
MakeSpec = Callable[[str, Values], Spec]


class Search:
    """Trials of a study that run at once, watched through the tracking server.

    A worker need not reach Optuna's storage: learning curves come, and the wish to stop goes,
    through the MLflow run of each trial.
    """

    def __init__(
        self,
        study: optuna.Study,
        make_spec: MakeSpec,
        space: Space,
        submit: Submit,
        children: Children,
    ) -> None:
        self._study = study
        self._make_spec = make_spec
        self._space = space
        self._submit = submit
        self._children = children
        self._running: dict[str, tuple[optuna.Trial, Future]] = {}
        self._reported: dict[str, set[int]] = {}
        self.failures: list[str] = []

    def run(self, trials: int, *, parallel: int) -> None:
        """Run so many trials, `parallel` at once; interrupted, it fails those that still run."""
        started = 0
        try:
            while started < trials or self._running:
                while started < trials and len(self._running) < parallel:
                    self._start()
                    started += 1
                time.sleep(POLL_S)
                self._watch()
                self._collect()
        finally:
            for trial, _ in self._running.values():
                self._study.tell(trial, state=TrialState.FAIL)

    def _start(self) -> None:
        trial, values = propose(self._space, self._study)
        trial.set_user_attr(PROCESS, this_process())
        trial.set_user_attr("values", values)
        spec = self._make_spec(f"trial {trial.number}", values)
        self._reported[spec.name] = set()
        self._running[spec.name] = trial, self._submit(spec.model_dump())

    def _watch(self) -> None:
        """Stop what is below the median."""
        with store.service_errors():
            for name, run_id in self._children.running().items():
                if name in self._running:
                    trial, _ = self._running[name]
                    if self._report(name, trial, run_id) and trial.should_prune():
                        self._children.stop(run_id, "below the median")

    def _report(self, name: str, trial: optuna.Trial, run_id: str) -> bool:
        """Tell Optuna the new points of the learning curve; whether there are any."""
        curve = self._children.curve(run_id)
        new = sorted(curve.keys() - self._reported[name])
        for epoch in new:
            trial.report(curve[epoch], epoch)
        self._reported[name].update(new)
        return bool(new)

    def _collect(self) -> None:
        for name in [name for name, (_, future) in self._running.items() if future.done()]:
            trial, future = self._running.pop(name)
            try:
                outcome = Outcome.model_validate(future.result())
            except Exception as error:  # a trial that fails says something about its values
                self.failures.append(" ".join(str(error).split()))
                self._study.tell(trial, state=TrialState.FAIL)
                continue
            trial.set_user_attr("run_id", outcome.run_id)
            with store.service_errors():
                self._report(name, trial, outcome.run_id)
            if outcome.pruned:
                self._study.tell(trial, state=TrialState.PRUNED)
            else:
                self._study.tell(trial, outcome.value)
