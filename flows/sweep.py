"""The `sweep` flow: hyper-parameter search, its trials on this machine or on a Dask cluster."""

import sys
from pathlib import Path
from typing import Annotated, Any

from prefect import Task, flow, get_run_logger, runtime
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field

from digits import params
from digits.core.artifacts import split_path
from digits.core.commands import LONG_GRACE_S, Commands
from digits.core.errors import DigitsError
from digits.core.machine import processors
from digits.core.provenance import recorded_outputs
from digits.tracking import store
from flows.support import lifecycle
from flows.support.commands import Dvc
from flows.support.pages import VERSION, Model, Space, artifact_key
from flows.support.stages import task_runner
from flows.train import train


@flow(name="sweep", version=VERSION)
def sweep(
    model: Model,
    space: Space,
    trials: Annotated[int, Field(ge=1)] = 20,
    seeds: Annotated[int, Field(ge=3)] = 3,
    study: str = "",
    parallel: Annotated[int, Field(ge=0)] = 0,
    scheduler: str = "",
    remote: str = "",
    storage: str = "",
) -> State:
    """Search the settings of a model that give the best validation accuracy.

    Args:
        model: Whose settings are searched.
        space: A YAML file: which keys of `train.<model>` vary, and in which range.
        trials: How many to run; a study that exists gets this many more.
        seeds: At the end, compare the best settings with the defaults over so many seeds.
        study: Name by which a later sweep continues this one; default: the model's.
        parallel: Trials at a time on this machine; 0: as many as fit the cores.
        scheduler: Address of a Dask scheduler whose workers run in clones of this project.
        remote: DVC remote from which these get the splits, which are pushed to it first.
        storage: Optuna's database URL, which all trials reach; default: SQLite in this folder.
    """

    def work() -> State[None]:
        # here, because not everybody installs Optuna
        from digits.sweep import trial
        from digits.sweep.search import search
        from digits.sweep.space import read_space

        raw, root = params.read(), Path.cwd()
        checked = params.check(raw)
        checked.recipe(model)
        varied = read_space(Path(space), model=model, raw=raw)
        store.connect(checked.project.part("sweeps"))
        _bring_split(remote)
        Path(".state").mkdir(exist_ok=True)
        recorded = recorded_outputs()
        spec = trial.Spec(
            model=model,
            raw=raw,
            study=f"{checked.project.name}/{study or model}",  # the storage may be others' too
            storage=storage or f"sqlite:///{root}/.state/sweeps.db",
            space=varied,
            splits={name: recorded[split_path(name)] for name in trial.FITTED_ON},
            remote=remote,
            tracking_uri=store.tracking_uri(),
            flow_run=str(runtime.flow_run.id),
        )
        commands = Commands()
        ours = None if scheduler else commands  # for it cannot be sent to another process

        def train_one(spec: trial.Spec) -> float | None:
            return trial.run(spec, get_run_logger().info, ours)

        one = Task(train_one, name="trial", task_run_name="{spec.name}", cache_policy=NO_CACHE)
        at_once = parallel or max(1, processors() // checked.train.threads)
        with task_runner(scheduler, at_once) as runner:

            def train_all(specs: list[trial.Spec]) -> list[Any]:
                tasks = [runner.submit(one, {"spec": spec}, dependencies={}) for spec in specs]
                return [task.result(raise_on_failure=False) for task in tasks]

            try:
                verdict, best = search(spec, train_all, trials=trials, seeds=seeds)
            finally:
                commands.stop(grace_s=LONG_GRACE_S)
        get_run_logger().info("%s\n%s", verdict, best)
        create_markdown_artifact(f"{verdict}\n\n    {best}\n", key=artifact_key("sweep"))
        return Completed(message=f"{verdict}\n{best}")

    return lifecycle.run_in_project(work)


def _bring_split(remote: str) -> None:
    """Bring the splits up to date, and push them to the remote from which workers get them."""
    state = train(targets=["split"], return_state=True)
    if not state.is_completed():
        raise DigitsError(*(state.message or "split failed").splitlines())
    if remote:
        Dvc().other("push", "--quiet", "--remote", remote, "split")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python flows/sweep.py MODEL SPACE.yaml")
    lifecycle.run_as_program(lambda: sweep(*sys.argv[1:], return_state=True))
