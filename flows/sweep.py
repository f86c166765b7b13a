"""The `sweep` flow: hyper-parameter search, its trials in local processes."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from dvc.repo import Repo
from prefect import Task, flow, get_run_logger, runtime
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from pydantic import Field

from digits import params
from digits.core.artifacts import split_path
from digits.core.commands import LONG_GRACE_S, Commands
from digits.core.errors import DigitsError
from digits.core.provenance import recorded_outputs
from digits.sweep import trial
from digits.tracking import store
from flows.support import lifecycle
from flows.support.forms import VERSION, Model, Space
from flows.support.prefect_artifacts import show_markdown
from flows.train import train

if TYPE_CHECKING:
    from digits.sweep.sweep import Submit


@flow(name="sweep", version=VERSION)
def sweep(
    model: Model,
    space: Space,
    trials: Annotated[int, Field(ge=1)] = 20,
    seeds: Annotated[int, Field(ge=3)] = 3,
    study: str = "",
    parallel: Annotated[int, Field(ge=0)] = 0,
    storage: str = "",
) -> State:
    """Search the settings of a model that give the best validation accuracy.

    Args:
        model: Whose settings are searched.
        space: A YAML file: which keys of `train.<model>` vary, and in which range.
        trials: How many to run; a study that exists gets this many more.
        seeds: At the end, compare the best settings with the defaults over so many seeds.
        study: Name by which a later sweep continues this one; default: the model's.
        parallel: Trials at a time; 0: as many as GPUs, or as fit the cores; workers on a cluster.
        storage: Optuna's database URL; default: SQLite in this folder.
    """

    def search() -> State[None]:
        # here, because not everybody installs Optuna
        from digits.sweep.space import read_space
        from digits.sweep.study import open_study
        from digits.sweep.sweep import Sweep

        root, raw = Path.cwd(), params.read()
        defaults = params.check(raw)
        defaults.recipe(model)
        distributions = read_space(Path(space), model=model, raw=raw)
        name = f"{defaults.project.name}/{study or model}"  # the storage may be others' too
        with Repo(str(root)) as repo:
            settings = {"url": str(repo.cache.local_cache_dir)}
        store.connect(defaults.project.part("sweeps"))
        opened = open_study(
            name, model=model, space=distributions, seed=defaults.seed, storage=storage or None
        )
        _split()
        recorded = recorded_outputs()
        at_once = parallel or defaults.train.at_once
        template = trial.Spec(
            model=model,
            raw=raw,
            datasets={name: recorded[split_path(name)] for name in trial.FITTED_ON},
            remote="",
            settings=settings,
            tracking_uri=store.tracking_uri(),
            flow_run=str(runtime.flow_run.id),
            at_once=at_once,
        )
        with _submitting(at_once) as submit:
            running = Sweep(opened, distributions, template, submit, at_once)
            result = running.run(trials=trials, seeds=seeds)
        get_run_logger().info("%s", result)
        text = f"{result.verdict}\n\n    {result.command}\n"
        show_markdown(text, "sweep")
        return Completed(message=str(result))

    return lifecycle.run_in_project(search)


def _split() -> None:
    """Bring the splits up to date."""
    state = train(targets=["split"], return_state=True)
    if not state.is_completed():
        raise DigitsError(*(state.message or "split failed").splitlines())


class Submitted(NamedTuple):
    """A Prefect future as `digits.sweep.sweep` wants it."""

    future: Any

    def done(self) -> bool:
        """Whether the trial has ended."""
        return bool(self.future.wrapped_future.done())

    def result(self) -> None:
        """Raise the error that the trial ended with, if any."""
        self.future.result()


@contextmanager
def _submitting(at_once: int) -> "Iterator[Submit]":
    """Yield what runs a trial as a task of Prefect; end the trials when interrupted."""
    commands = Commands()

    def run_trial(spec: trial.Spec) -> None:
        trial.run_trial(spec, commands, get_run_logger().info)

    run = Task(
        fn=run_trial,
        name="trial",
        task_run_name="{spec.name}",
        cache_policy=NO_CACHE,
        persist_result=False,
    )
    runner: TaskRunner[Any] = ThreadPoolTaskRunner(max_workers=at_once)
    with runner:
        try:
            yield lambda spec: Submitted(
                runner.submit(run, parameters={"spec": spec}, dependencies={})
            )
        finally:
            commands.stop(grace_s=LONG_GRACE_S)


def start() -> State:
    """Run the flow with the arguments of the command line."""
    import optuna  # noqa: F401 - if it is missing, say so before the flow starts

    return sweep(*sys.argv[1:], return_state=True)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python flows/sweep.py MODEL SPACE.yaml")
    lifecycle.run_as_program(start)
