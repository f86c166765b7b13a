"""Stages in Prefect work pools, on machines that share git's `origin` and a DVC remote."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dvc.repo import Repo
from prefect import get_run_logger, runtime
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelling

from digits import params
from digits.core.errors import DigitsError, ServiceError, UsageError
from digits.core.pipeline import Stage, stage_names
from digits.core.provenance import ARTIFACTS, OUTPUTS, read_lock
from digits.core.repository import git, origin
from flows.support.commands import Dvc


class Pools:
    """The work pools of one flow run; the deployment `stage/POOL` runs a stage in the pool."""

    def __init__(self, root: Path, where: Mapping[str, str]) -> None:
        """`where` gives the pool by stage, or by kind of stage (`train` is each `train@…`).

        Raises:
            UsageError: it names no stage or no pool; other machines cannot get the commit or data.
        """
        self._where, self._commit = where, git(root, "rev-parse", "HEAD")
        known = stage_names(root)
        if unknown := [name for name in where if name not in known]:
            raise UsageError(f"where: {unknown[0]!r} is no stage; there are {', '.join(known)}")
        with get_client(sync_client=True) as client:
            for pool in set(where.values()):
                try:
                    client.read_deployment_by_name(f"stage/{pool}")
                except ObjectNotFound:
                    raise UsageError(
                        f"where: {pool!r}: no deployment stage/{pool}; `prefect deploy` makes it"
                    ) from None
        held = ("for-each-ref", "--contains", self._commit, "refs/remotes/origin")
        if not git(root, *held):
            raise UsageError(
                f"commit {self._commit[:12]}: `origin` does not have it, from which workers clone"
                " the code; `git push` brings it there"
            )
        self._origin, self._remote = origin(root), _shared_remote(root)

    def pool(self, stage: Stage) -> str | None:
        """The pool in which the stage runs; None: here."""
        return self._where.get(stage.name, self._where.get(stage.name.split("@")[0]))

    def run(self, stage: Stage, pool: str, dvc: Dvc) -> str:
        """Run the stage in the pool and bring its result here; returns where it ran.

        Raises:
            UsageError: its code is not committed, and workers get committed code only.
            ServiceError: its worker died.
            DigitsError: it failed, or was cancelled.
        """
        only = ("--", "dvc.yaml", *stage.deps, f":!{ARTIFACTS}")
        if changed := git(dvc.folder, "diff", "HEAD", "--name-only", *only).splitlines():
            raise UsageError(f"{', '.join(changed)}: not committed; workers get committed code")
        if stage.upstream:
            dvc.run("push", "--quiet", *stage.upstream)
        get_run_logger().info("runs in the work pool %s, with commit %s", pool, self._commit[:12])
        done = run_deployment(
            f"stage/{pool}",
            parameters=self._parameters(stage, dvc),
            job_variables={"env": {"COMMIT": self._commit, "ORIGIN": self._origin}},
            flow_run_name=f"{stage.name} of {runtime.flow_run.name}",
            poll_interval=1,
            # the client repeats a request that got no answer; a task's retry is another run
            idempotency_key=f"{runtime.task_run.id}-{runtime.task_run.run_count}",
        )
        assert isinstance(done, FlowRun) and done.state
        if not done.state.is_completed():
            kind = ServiceError if done.state.is_crashed() else DigitsError
            raise kind(
                f"{stage.name}: flow run {done.name}: {done.state.name}: {done.state.message}"
            )
        dvc.reproduce(stage.name, "--pull")
        return f"in the work pool {pool}"

    def _parameters(self, stage: Stage, dvc: Dvc) -> dict[str, Any]:
        files = {path: (dvc.folder / path) for path in (str(params.PATH), *stage.kept_in_git)}
        texts = {path: file.read_text("utf-8") for path, file in files.items() if file.exists()}
        if (dvc.folder / OUTPUTS).exists():
            texts[str(OUTPUTS)] = read_lock(dvc.folder / OUTPUTS)
        return {
            "name": stage.name,
            "upstream": stage.upstream,
            "files": texts,
            "remote": self._remote,
            "env": dvc.context,
        }

    def cancel(self) -> None:
        """Cancel the stages of this flow run that still run: Prefect does not."""
        parent = FlowRunFilterParentFlowRunId(any_=[runtime.flow_run.id])
        with get_client(sync_client=True) as client:
            for run in client.read_flow_runs(
                flow_run_filter=FlowRunFilter(parent_flow_run_id=parent)
            ):
                if run.state and not run.state.is_final():
                    client.set_flow_run_state(run.id, Cancelling())


def _shared_remote(root: Path) -> tuple[str, str]:
    """Name and address of DVC's default remote; its passwords are each worker's own affair."""
    with Repo(str(root)) as repo:
        name = repo.config["core"].get("remote")
        address = str(repo.config["remote"].get(name, {}).get("url", root))
    if Path(address).is_relative_to(root.resolve()):
        raise UsageError(
            f"remote: {name or 'no default'!r} is no remote that other machines reach;"
            " `dvc remote add --local -d team s3://…` names one"
        )
    return name, address
