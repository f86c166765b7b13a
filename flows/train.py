"""The `train` flow: the pipeline of dvc.yaml, one Prefect task per stage."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from threading import Semaphore
from typing import Annotated, Any

import requests
from prefect import flow, get_run_logger, runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.states import Completed, Failed
from pydantic import Field

from digits import params
from digits.core import checkout
from digits.core.commands import CommandFailedError
from digits.core.errors import DigitsError, UsageError
from digits.core.machine import Slots
from digits.core.pipeline import Stage, check_sources, read_pipeline
from digits.core.system import processors
from digits.tracking import database
from flows.support import lifecycle
from flows.support.commands import DVC_ERROR, RETRIES_AFTER_S, Dvc, may_pass
from flows.support.elsewhere import Elsewhere
from flows.support.forms import VERSION, Target, run_name
from flows.support.home import goes_home, push_ref
from flows.support.places import opened
from flows.support.prefect_artifacts import Progress, publish_results
from flows.support.workspaces import experiment_name, project_lock, save_experiment, workspace

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
        pull: `dvc pull` first; a worker that cloned the code does always.
        push: `dvc push` at the end.
        max_parallel: Stages at once; 0: as many as need not share cores.
        stage_timeout_s: Seconds after which a stage is ended and has failed; 0: none.
        where: Stages that run on other machines, such as `{"train": "dask"}`: on a Dask cluster
            (`dask`), or in the work pool of this name. They get the code from git's remote
            `origin`, and data and results go through DVC's default remote.
    """

    def work() -> State[None]:
        root = Path.cwd()
        for_trainings = _trainings_at_once(root, overrides)
        pulls = pull or root != checkout.home()  # a worker's clone has only what git holds
        if where and force:
            raise UsageError("force: what runs elsewhere has no forced runs; give force or where")
        if overrides:
            read_pipeline(root, targets)  # before a workspace is made
            if not pulls:  # the copy is checked out from the cache, so local files do not matter
                check_sources(root, targets)
        home = bool(overrides) and goes_home(root)
        with (
            opened(root, where) as places,
            _place(root, overrides, shared=home) as (folder, experiment),
        ):
            dvc = Dvc(root, folder, experiment=experiment, timeout_s=stage_timeout_s)
            slots = Slots(checkout.home(), max_parallel or for_trainings)
            at_once = max_parallel or max(2, processors())
            elsewhere = Elsewhere(dvc, root, where, places, stage_timeout_s) if where else None
            stages = Stages(dvc, slots, elsewhere, force=force, at_once=at_once)
            try:
                if experiment and not pulls:
                    dvc.run("checkout", "--quiet", "--allow-missing")
                states = _run_all(dvc, stages, targets, pull=pulls)
                ref = ""
                if experiment and _all_completed(states):
                    ref = save_experiment(root, folder, experiment, targets)
                if (push or home) and _all_completed(states):
                    states["push"] = transfer("push", dvc, return_state=True)
                if home and _all_completed(states):
                    states["push experiment"] = push_ref(ref, dvc, root, return_state=True)
            finally:
                dvc.commands.stop()
            publish_results(folder, states, experiment=experiment)
            return _result(states)

    return lifecycle.run_in_project(work)


class Stages:
    """The stages of one flow run: runs with DVC those that may have changed."""

    def __init__(
        self, dvc: Dvc, slots: Slots, elsewhere: Elsewhere | None, *, force: bool, at_once: int
    ) -> None:
        """At most `at_once` stages run here at a time; those with `train.threads` take a slot."""
        self._dvc = dvc
        self._slots = slots
        self._elsewhere = elsewhere
        self._force = force
        self._at_once = Semaphore(at_once)
        self._changed: set[str] = set()

    def may_change(self, stage: Stage) -> bool:
        """Whether the stage or one of its upstream stages has changed."""
        return self._force or stage.changed or not self._changed.isdisjoint(stage.upstream)

    def reproduce(self, stage: Stage) -> State[None]:
        """Run `dvc repro` for the stage; the state is Cached if its command did not run."""
        command = ["repro", "--single-item", *["--force"] * self._force, stage.name]
        self._dvc.wait_for_retry()
        if self._elsewhere and (place := self._elsewhere.place(stage)):
            self._changed.add(stage.name)
            return self._elsewhere.reproduce(stage, place)
        # the slot first: a stage that waits for one must not delay stages that need none
        with self._slot(stage), self._at_once:
            lines = self._dvc.run(*command, on_line=Progress(stage.name).on_line)
        if any(line.endswith("didn't change, skipping") for line in lines):
            return Completed(name="Cached", message="unchanged")
        self._changed.add(stage.name)
        if any("is cached - skipping run" in line for line in lines):
            return Completed(name="Cached", message="brought from DVC's run cache")
        return Completed()

    def _slot(self, stage: Stage) -> AbstractContextManager[str | None]:
        if not stage.threaded:
            return nullcontext()
        return self._slots.one(get_run_logger().info, check=self._dvc.commands.check_not_stopped)


@task(
    task_run_name="{stage.name}",
    cache_policy=NO_CACHE,
    retries=len(RETRIES_AFTER_S),
    retry_condition_fn=may_pass,
)
def run_stage(stage: Stage, stages: Stages) -> State[None]:
    """Bring one stage up to date."""
    if not stages.may_change(stage):
        return Completed(name="Cached", message="unchanged")
    try:
        return stages.reproduce(stage)
    except CommandFailedError as error:
        return Failed(message=f"{stage.name} {error}", data=error.code)
    except DigitsError as error:
        return Failed(message=f"{stage.name}: {error}", data=error.exit_code)


def _would_overwrite(pulled: State[Any]) -> bool:
    """Whether DVC says that `dvc pull` would overwrite what is in no cache."""
    return "unsaved files" in (pulled.message or "")


@task(
    task_run_name="{command}",
    cache_policy=NO_CACHE,
    retries=len(RETRIES_AFTER_S),
    retry_condition_fn=lambda _task, _task_run, state: (
        state.data == DVC_ERROR and not _would_overwrite(state)
    ),
)
def transfer(command: str, dvc: Dvc, options: Sequence[str] = ()) -> State[None]:
    """`dvc pull` or `dvc push`."""
    try:
        dvc.wait_for_retry()
        dvc.run(command, *options)
    except CommandFailedError as error:
        return Failed(message=f"dvc {command} {error}", data=error.code)
    return Completed()


def _trainings_at_once(root: Path, overrides: Mapping[str, Any]) -> int:
    values = params.read(root / params.PATH)
    params.set_keys(values, overrides)
    return params.check(values).train.at_once


@contextmanager
def _place(
    root: Path, overrides: Mapping[str, Any], *, shared: bool
) -> Iterator[tuple[Path, str | None]]:
    """The folder to work in, and the name of the experiment that the run leaves, if any."""
    if overrides:
        name = experiment_name(root, runtime.flow_run.name, runtime.flow_run.id, shared=shared)
        with workspace(root, overrides) as folder:
            yield folder, name
    else:
        with project_lock(root):
            yield root, None


def _run_all(
    dvc: Dvc, stages: Stages, targets: Sequence[str], *, pull: bool
) -> dict[str, State[Any]]:
    states: dict[str, State[Any]] = {}
    if pull:
        states["pull"] = transfer("pull", dvc, ["--allow-missing"], return_state=True)
    if _all_completed(states) or _would_overwrite(states["pull"]):
        check_sources(dvc.folder, targets, pulled=pull)
    if _all_completed(states):
        states |= _run_stages(read_pipeline(dvc.folder, targets), stages)
    return states


def _run_stages(pipeline: Sequence[Stage], stages: Stages) -> dict[str, State[Any]]:
    """Run one task per stage; returns their final states, NotReady below a failed stage."""
    if any(stage.threaded for stage in pipeline) and any(map(stages.may_change, pipeline)):
        _check_tracking()
    futures: dict[str, PrefectFuture[Any]] = {}
    for stage in pipeline:
        upstream = [futures[name] for name in stage.upstream if name in futures]
        futures[stage.name] = run_stage.submit(stage, stages, return_state=False, wait_for=upstream)
    for future in futures.values():
        future.wait()  # else `state` asks the server, which learns of it a little later
    return {name: future.state for name, future in futures.items()}


def _check_tracking() -> None:
    """Check the tracking server now, so that a run does not fail at the first training.

    Raises:
        ServiceError: MLFLOW_TRACKING_URI names a server that does not answer.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    database.check(uri)
    if uri.startswith("http"):
        try:
            requests.get(uri, timeout=10)
        except requests.RequestException:
            raise database.unusable(uri, "no answer; is the server up?") from None


def _all_completed(states: dict[str, State[Any]]) -> bool:
    return all(state.is_completed() for state in states.values())


def _result(states: dict[str, State[Any]]) -> State[None]:
    if _all_completed(states):
        cached = sum(state.name == "Cached" for state in states.values())
        return Completed(message=f"{len(states) - cached} ran, {cached} cached")
    failed = [state.message or "" for state in states.values() if state.is_failed()]
    if not_run := [name for name, state in states.items() if state.name == "NotReady"]:
        failed.append(f"not run: {', '.join(not_run)}")
    return Failed(message="\n".join(failed))


if __name__ == "__main__":
    lifecycle.run_as_program(lambda: train(return_state=True))
