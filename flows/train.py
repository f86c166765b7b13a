"""The `train` flow: the pipeline of dvc.yaml, one Prefect task per stage."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from filelock import FileLock
from prefect import flow, runtime
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from pydantic import Field

from digits import params
from digits.core.errors import UsageError
from digits.core.pipeline import PROJECT_LOCK, check_sources, read_pipeline
from flows.support import lifecycle
from flows.support.commands import Dvc
from flows.support.forms import VERSION, Target, run_name
from flows.support.pools import Pools
from flows.support.prefect_artifacts import publish_results
from flows.support.stages import Stages, transfer
from flows.support.workspaces import experiment_name, save_experiment, workspace

NO_OVERRIDES: dict[str, Any] = {}
HERE: dict[Target, str] = {}


@flow(name="train", version=VERSION, flow_run_name=run_name)
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
        overrides: Params by dotted key, such as `{"train.cnn.fit.epochs": 1}`. The run then works
            in a copy of the project and leaves a DVC experiment; your files stay as they are.
        force: Run every stage, changed or not.
        pull: `dvc pull` first.
        push: `dvc push` at the end; of an experiment, `dvc exp push origin`.
        max_parallel: Trainings at once; 0: as many as have cores of their own.
        stage_timeout_s: Seconds after which a stage is ended and has failed; 0: none.
        where: Stages that run in a Prefect work pool, such as `{"train": "POOL"}`. They get the
            code from git's remote `origin`, and data and results by DVC's default remote.
    """

    def work() -> State[None]:
        root = Path.cwd()
        if where and force:
            raise UsageError("force: a work pool has no forced runs; give force or where")
        trainings = max_parallel or _trainings_at_once(root, overrides)
        pools = Pools(root, where) if where else None
        with _folder(root, targets, overrides, pull=pull) as (folder, experiment):
            dvc = Dvc(root, folder, experiment=experiment, timeout_s=stage_timeout_s)
            stages = Stages(dvc, pools, trainings=trainings, force=force)
            try:
                if experiment and not pull:
                    dvc.run("checkout", "--quiet", "--allow-missing")
                states = stages.run_all(targets, pull=pull)
                if experiment and _completed(states):
                    save_experiment(root, folder, experiment, targets)
                if push and _completed(states):
                    words = ("exp", "push", "origin", experiment) if experiment else ("push",)
                    states["push"] = transfer(Dvc(root, root), *words, return_state=True)
            finally:
                stages.stop()
            publish_results(folder, states, experiment=experiment)
        return _result(states)

    return lifecycle.run_in_project(work)


def _trainings_at_once(root: Path, overrides: Mapping[str, Any]) -> int:
    values = params.read(root / params.PATH)
    params.set_keys(values, overrides)
    return params.check(values).train.at_once


@contextmanager
def _folder(
    root: Path, targets: Sequence[str], overrides: Mapping[str, Any], *, pull: bool
) -> Iterator[tuple[Path, str]]:
    """The folder to work in, and the name of the experiment that the run leaves, or none."""
    if not overrides:
        with FileLock(root / PROJECT_LOCK):  # one after the other in the project's folder
            yield root, ""
        return
    read_pipeline(root, targets)  # tells a wrong target before the copy is made
    if not pull:
        check_sources(root, targets)
    with workspace(root, overrides) as folder:
        yield folder, experiment_name(runtime.flow_run.name, runtime.flow_run.id)


def _completed(states: Mapping[str, State[Any]]) -> bool:
    return all(state.is_completed() for state in states.values())


def _result(states: Mapping[str, State[Any]]) -> State[None]:
    if _completed(states):
        cached = sum(state.name == "Cached" for state in states.values())
        return Completed(message=f"{len(states) - cached} ran, {cached} cached")
    failed = [state.message or "" for state in states.values() if state.is_failed()]
    not_run = [name for name, state in states.items() if state.name == "NotReady"]
    return Failed(
        message="\n".join([*failed, *([f"not run: {', '.join(not_run)}"] if not_run else [])])
    )


if __name__ == "__main__":
    lifecycle.run_as_program(lambda: train(return_state=True))
