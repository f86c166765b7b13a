"""Stages in Prefect work pools, on machines that share git's `origin` and a DVC remote."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dvc.repo import Repo
from prefect import get_run_logger, runtime
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelling

from imageproof.base.errors import ImageproofError, ServiceError, UsageError
from imageproof.base.params_yaml import PATH
from imageproof.base.repository import git, origin
from imageproof.dvc.pipeline import Stage, stage_names
from imageproof.dvc.provenance import ARTIFACTS, OUTPUTS, read_lock
from imageproof.prefect.commands import Dvc


class Pools:
    """The work pools of one flow run; the deployment `stage/POOL` runs a stage in the pool."""

    def __init__(self, root: Path, where: Mapping[str, str]) -> None:
        """`where` gives the pool by stage, or by kind of stage (`train` is each `train@…`).

        UsageError if it names no stage, or others cannot get the commit or the data.
        """
        known = stage_names(root)
        if unknown := [name for name in where if name not in known]:
            raise UsageError(f"where: {unknown[0]!r} is no stage; there are {', '.join(known)}")
        self._where, self._root, self._commit = where, root, git(root, "rev-parse", "HEAD")
        if not git(root, "for-each-ref", "--contains", self._commit, "refs/remotes/origin"):
            raise UsageError(
                f"commit {self._commit[:12]}: `origin` does not have it, from which workers clone"
                " the code; `git push` brings it there"
            )
        with Repo(str(root)) as repo:  # passwords of the remote are each worker's own affair
            remote = str(repo.config["core"].get("remote"))
            address = str(repo.config["remote"].get(remote, {}).get("url", root))
        if Path(address).is_relative_to(root.resolve()):
            hint = "`dvc remote add --local -d team s3://…` names one"
            raise UsageError(f"remote: {remote!r} is no remote that other machines reach; {hint}")
        self._remote = (remote, address)

    def pool(self, stage: Stage) -> str | None:
        """The pool in which the stage runs; None: here."""
        return self._where.get(stage.name, self._where.get(stage.name.split("@")[0]))

    def run(self, stage: Stage, pool: str, dvc: Dvc) -> str:
        """Run the stage in the pool and bring its result here; returns where it ran."""
        only = ("--", "dvc.yaml", *stage.deps, f":!{ARTIFACTS}")
        if changed := git(self._root, "diff", "HEAD", "--name-only", *only).splitlines():
            raise UsageError(f"{', '.join(changed)}: not committed; workers get committed code")
        if stage.upstream:
            dvc.other("push", "--quiet", *stage.upstream)
        get_run_logger().info("runs in the work pool %s, with commit %s", pool, self._commit[:12])
        paths = [PATH, *map(Path, stage.kept_in_git)]
        files = {str(path): path.read_text("utf-8") for path in paths if path.exists()}
        if OUTPUTS.exists():
            files[str(OUTPUTS)] = read_lock(OUTPUTS)
        given = {"name": stage.name, "upstream": stage.upstream, "remote": self._remote}
        try:
            done: Any = run_deployment(
                f"stage/{pool}",
                parameters=given | {"files": files},
                job_variables={"env": {"COMMIT": self._commit, "ORIGIN": origin()}},
                flow_run_name=f"{stage.name} of {runtime.flow_run.name}",
                poll_interval=1,
            )
        except ObjectNotFound:
            raise UsageError(f"where: no deployment stage/{pool}; see prefect.yaml") from None
        if not done.state.is_completed():  # crashed: its worker died
            kind = ServiceError if done.state.is_crashed() else ImageproofError
            raise kind(f"{stage.name}: {done.name}: {done.state.name}: {done.state.message}")
        dvc.reproduce(stage.name, "repro", "--pull", "--single-item", stage.name)
        return f"in the work pool {pool}"

    def cancel(self) -> None:
        """Cancel the stages of this flow run that still run: Prefect does not."""
        children = FlowRunFilterParentFlowRunId(any_=[runtime.flow_run.id])
        of_this = FlowRunFilter(parent_flow_run_id=children)
        with get_client(sync_client=True) as client:
            for run in client.read_flow_runs(flow_run_filter=of_this):
                if run.state and not run.state.is_final():
                    client.set_flow_run_state(run.id, Cancelling())
