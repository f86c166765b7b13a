"""The `train` flow: the pipeline of dvc.yaml, one Prefect task per stage."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from filelock import FileLock
from prefect import flow, runtime
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from pydantic import Field

from digits import params
from digits.core.errors import UsageError
from digits.core.machine import trainings_at_once
from digits.core.pipeline import PROJECT_LOCK, check_sources, read_pipeline
from flows.support import lifecycle
from flows.support.commands import Dvc
from flows.support.forms import VERSION, Target
from flows.support.pools import Pools
from flows.support.stages import Stages, step

NO_OVERRIDES: dict[str, Any] = {}
HERE: dict[Target, str] = {}


@flow(name="train", version=VERSION)
def train(
    targets: Sequence[Target] = (),
    overrides: dict[str, Any] = NO_OVERRIDES,
    force: bool = False,
    pull: bool = False,
    push: bool = False,
    max_parallel: Annotated[int, Field(ge=0)] = 0,
    stage_timeout_s: Annotated[float, Field(ge=0)] = 0,
    where: dict[Target, str] = HERE,
) -> State[None]:
    """Bring the pipeline of dvc.yaml up to date.

    Args:
        targets: Stages, with all they depend on; none: the whole pipeline.
        overrides: Params by dotted key, such as `{"train.cnn.fit.epochs": 1}`. The run is then a
            DVC experiment, which works in a copy of the project; your files stay as they are.
        force: Run every stage, changed or not.
        pull: `dvc pull` first.
        push: `dvc push` at the end; of an experiment, `dvc exp push origin`.
        max_parallel: Trainings at once; 0: as many as have cores of their own.
        stage_timeout_s: Seconds after which a stage is ended and has failed; 0: none. It is the
            time of all stages of an experiment.
        where: Stages that run in a Prefect work pool, such as `{"train": "POOL"}`. They get the
            code from git's remote `origin`, and data and results by DVC's default remote.
    """

    def work() -> State[None]:
        if where and (force or overrides):
            raise UsageError("where: is not for `force` and `overrides`, which run here")
        root, dvc = Path.cwd(), Dvc(timeout_s=stage_timeout_s)
        pools = Pools(root, where) if where else None
        try:
            if overrides:
                options = ["--force"] * force + ["--pull"] * pull
                return _experiment(dvc, targets, overrides, options, push=push)
            with FileLock(root / PROJECT_LOCK):  # one after the other in the project's folder
                states: dict[str, State[Any]] = {}
                if pull:
                    states["pull"] = step(
                        "pull", partial(dvc.other, "pull", "--allow-missing"), return_state=True
                    )
                if not pull or states["pull"].is_completed():
                    check_sources(root, targets)
                    trainings = max_parallel or trainings_at_once(params.load().train.threads)
                    stages = Stages(dvc, pools, trainings=trainings, force=force)
                    states |= stages.run_all(read_pipeline(root, targets))
                if push and all(state.is_completed() for state in states.values()):
                    states["push"] = step("push", partial(dvc.other, "push"), return_state=True)
            return _result(states)
        finally:
            dvc.stop()
            if pools:
                pools.cancel()

    return lifecycle.run_in_project(work)


def _experiment(
    dvc: Dvc, targets: Sequence[str], overrides: dict[str, Any], options: list[str], *, push: bool
) -> State[None]:
    """One task, as DVC runs the stages of an experiment in a copy of the project."""
    root, values = Path.cwd(), params.read()
    params.set_keys(values, overrides)
    params.check(values)
    read_pipeline(root, targets)
    if "--pull" not in options:
        check_sources(root, targets)
    name = f"{runtime.flow_run.name}-{runtime.flow_run.id[:8]}"
    for key, value in overrides.items():
        options += ["--set-param", f"{key}={json.dumps(value)}"]
    command = ["exp", "run", "--temp", "--name", name, *options, *targets]
    work = partial(dvc.reproduce, name, command)
    states = {"experiment": step("experiment", work, return_state=True)}
    if push and states["experiment"].is_completed():
        to_origin = partial(dvc.other, "exp", "push", "origin", name)
        states["push"] = step("push", to_origin, return_state=True)
    return _result(states)


def _result(states: dict[str, State[Any]]) -> State[None]:
    if all(state.is_completed() for state in states.values()):
        cached = sum(state.name == "Cached" for state in states.values())
        return Completed(message=f"{len(states) - cached} ran, {cached} cached")
    failed = [state.message or "" for state in states.values() if state.is_failed()]
    if not_run := [name for name, state in states.items() if state.name == "NotReady"]:
        failed.append(f"not run: {', '.join(not_run)}")
    return Failed(message="\n".join(failed))


if __name__ == "__main__":
    lifecycle.run_as_program(lambda: train(return_state=True))
