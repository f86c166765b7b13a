"""Register the project's deployments with the Prefect server, and the work pool they run in.

python flows/deploy.py

A worker runs them in the folder that they were registered from. With `--git` it clones the code of
each run from git's remote `origin`, and needs no folder but its own.
"""

import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, cast
from urllib.parse import urlsplit

import httpx
import typer
from prefect import Flow
from prefect.blocks.system import Secret
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import VersionInfo
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound, PrefectException
from prefect.runner.storage import LocalStorage
from prefect.schedules import Cron
from prefect.settings import get_current_settings
from prefect.types.entrypoint import EntrypointType
from prefect.workers.process import ProcessWorker
from pydantic import SecretStr

from digits.core import process, repository
from digits.core.addresses import public
from digits.core.errors import ServiceError, UsageError, one_line
from digits.params import project
from flows.monitor import monitor
from flows.promote import promote
from flows.retrain import retrain
from flows.score import score
from flows.support.forms import VERSION
from flows.sweep import sweep
from flows.train import train

# git asks it for the password of `origin`: on the command line or in a file others could read it
GIT_LOGIN = '!f() { echo username=x-token-auth; echo "password=$GIT_TOKEN"; }; f'
RESUMED = "once it is resumed with `prefect deployment schedule resume`"


def deployments() -> list[RunnerDeployment]:
    """All deployments of the project in the current folder; their names are its own."""
    name, nightly = project().name, project().part("nightly")
    scored = "Predictions with the champion for a folder, CSV or npz, and its drift."
    retrained = f"Train and promote when data.dvc has changed; also on schedule, {RESUMED}."
    monitored = f"Drift, unsure answers and accuracy of a model at work; also daily, {RESUMED}."
    return [
        _deployment(train, name, "The pipeline of dvc.yaml, one task per stage."),
        _deployment(train, nightly, f"The same every night, {RESUMED}.", "0 2 * * *", pull=True),
        _deployment(sweep, name, "Search the settings of one model."),
        _deployment(promote, name, "The gate, a person's approval, and a new champion."),
        _deployment(score, name, scored),
        _deployment(monitor, name, monitored, "0 6 * * *"),
        _deployment(retrain, name, retrained, "*/15 * * * *"),
    ]


def _deployment(
    flow: Flow[..., Any], name: str, description: str, cron: str = "", **parameters: object
) -> RunnerDeployment:
    """A deployment of a flow with other defaults; its schedule, if any, is paused at first."""
    made = flow.to_deployment(
        name,
        description=description,
        parameters=parameters,
        tags=[project().name, flow.name, *["scheduled"] * bool(cron)],
        schedule=Cron(cron, active=False) if cron else None,
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    return cast(RunnerDeployment, made)  # typed as a coroutine too, but plain where no loop runs


class Cloned(LocalStorage):
    """Code that a worker clones from git's remote `origin`; see `flows.support.pull`."""

    def __init__(self, commit: str) -> None:
        """`commit` is what is checked out: a hash or a branch."""
        super().__init__(".")
        self._inputs = {"address": repository.origin(Path()), "commit": commit}

    def to_pull_step(self) -> dict[str, Any]:
        """What Prefect calls on the worker."""
        return {"flows.support.pull.pull_code": self._inputs}


def register(*, git: bool = False, secrets: Sequence[str] = ()) -> None:
    """Create the work pool if it is missing; create or update the deployments and print them.

    Args:
        git: Whether workers clone the code, instead of using this folder.
        secrets: Environment variables to keep as Secret blocks, which each run then has.

    Raises:
        UsageError: workers could not clone the commit here, or a secret is not set.
        ServiceError: no Prefect server is configured, or it does not take them.
    """
    name, address = project().name, get_current_settings().api.url
    commit, branch = _pushed() if git else ("", "")
    if not address:
        raise ServiceError("PREFECT_API_URL: is not set; `make up` starts a Prefect server")
    template = ProcessWorker.get_default_base_job_template()
    # else Prefect also sends the address of git's remote, and the password in it
    version = VersionInfo(type="prefect:simple", version=VERSION or "")
    pool = WorkPoolCreate(name=name, type=ProcessWorker.type, base_job_template=template)
    try:
        with get_client(sync_client=True) as client:
            with suppress(ObjectAlreadyExists):
                client.create_work_pool(pool)
            variables: dict[str, Any] = {"env": _secret_variables(client, secrets)}
            if git and client.read_work_pool(name).type == ProcessWorker.type:
                variables["working_dir"] = "."  # the worker's folder, not a temporary one
            for deployment in deployments():
                deployment.job_variables = variables
                # `retrain` waits for a commit with other data
                followed = branch if deployment.flow_name == retrain.name else commit
                deployment.storage = Cloned(followed) if git else LocalStorage(".")
                with suppress(ObjectNotFound):
                    client.read_deployment_by_name(deployment.full_name)
                    deployment.schedules = []
                    # not sent, so the server keeps its own: somebody may have resumed one
                    deployment.model_fields_set.discard("schedules")
                deployment.apply(work_pool_name=name, version_info=version)
                print(deployment.full_name)
    except (httpx.HTTPError, PrefectException) as error:
        raise ServiceError(f"Prefect at {public(address)}: {one_line(error, width=500)}") from None


def _pushed() -> tuple[str, str]:
    """The commit here, which `origin` must have, and its branch there or else the commit again."""
    root = Path()
    if not repository.origin(root):
        raise UsageError("git: no remote `origin`, which workers clone: git remote add origin URL")
    commit = repository.git(root, "rev-parse", "HEAD")
    held = ("for-each-ref", "--format=%(refname)", "--contains", commit, "refs/remotes/origin")
    if not (branches := repository.git(root, *held).splitlines()):
        raise UsageError(
            f"commit {commit[:12]}: `origin` does not have it; `git push` brings it there"
        )
    if str(VERSION).endswith("-dirty"):
        print(
            f"warning: workers run commit {commit[:12]}, without the changes here", file=sys.stderr
        )
    branch = repository.git(root, "branch", "--show-current")
    return commit, branch if f"refs/remotes/origin/{branch}" in branches else commit


def _secret_variables(client: SyncPrefectClient, new: Sequence[str]) -> dict[str, str]:
    """Environment variables of each run that Prefect fills from the project's Secret blocks.

    The block `<project>-env-git-token` is the variable GIT_TOKEN, and so on; `new` are saved first.
    """
    prefix = f"{project().name}-env-"
    for variable in new:
        if not re.fullmatch(r"[A-Z][A-Z0-9_]*", variable) or not os.environ.get(variable):
            raise UsageError(f"--secret {variable}: no environment variable that is set here")
        block: Secret[str] = Secret(value=SecretStr(os.environ[variable]))
        block.save(prefix + variable.lower().replace("_", "-"), overwrite=True)
    blocks = [
        str(block.name)
        for block in client.read_block_documents_by_type("secret", include_secrets=False)
    ]
    env = {
        block.removeprefix(prefix)
        .upper()
        .replace("-", "_"): f"{{{{ prefect.blocks.secret.{block} }}}}"
        for block in sorted(blocks)
        if block.startswith(prefix)
    }
    host = urlsplit(repository.origin(Path()))
    if "GIT_TOKEN" in env and host.scheme == "https":
        env |= {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"credential.https://{host.netloc}.helper",
            "GIT_CONFIG_VALUE_0": GIT_LOGIN,
        }
    return env


def main(
    git: Annotated[
        bool, typer.Option("--git", help="Workers clone the code from `origin`.")
    ] = False,
    secret: Annotated[
        list[str] | None,
        typer.Option(help="Environment variable, kept as a Secret block, that each run gets."),
    ] = None,
) -> None:
    """Register the deployments."""
    register(git=git, secrets=secret or ())


if __name__ == "__main__":
    process.run_program(lambda: typer.run(main))
