"""Register the project's deployments with the Prefect server, and the work pool they run in.

python flows/deploy.py

A worker runs them in the folder that they were registered from.
"""

from contextlib import suppress
from typing import Any, cast

import httpx
from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import VersionInfo
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound, PrefectException
from prefect.runner.storage import LocalStorage
from prefect.schedules import Cron
from prefect.settings import get_current_settings
from prefect.types.entrypoint import EntrypointType
from prefect.workers.process import ProcessWorker

from digits.core import process
from digits.core.addresses import public
from digits.core.errors import ServiceError, one_line
from digits.params import project
from flows.monitor import monitor
from flows.promote import promote
from flows.retrain import retrain
from flows.score import score
from flows.support.forms import VERSION
from flows.sweep import sweep
from flows.train import train

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
    made = cast(RunnerDeployment, made)  # typed as a coroutine too, but plain where no loop runs
    made.storage = LocalStorage(".")
    return made


def register() -> None:
    """Create the work pool if it is missing; create or update the deployments and print them.

    Raises:
        ServiceError: no Prefect server is configured, or it does not take them.
    """
    name, address = project().name, get_current_settings().api.url
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
            for deployment in deployments():
                with suppress(ObjectNotFound):
                    client.read_deployment_by_name(deployment.full_name)
                    deployment.schedules = []
                    # not sent, so the server keeps its own: somebody may have resumed one
                    deployment.model_fields_set.discard("schedules")
                deployment.apply(work_pool_name=name, version_info=version)
                print(deployment.full_name)
    except (httpx.HTTPError, PrefectException) as error:
        raise ServiceError(f"Prefect at {public(address)}: {one_line(error, width=500)}") from None


if __name__ == "__main__":
    process.run_program(register)
