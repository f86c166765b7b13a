"""Prefect's pull step: clone the code of a flow run on a worker."""

import os
import sys
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.logging.loggers import flow_run_logger
from prefect.states import Failed

from digits.core import checkout, process, repository
from digits.core.errors import DigitsError


def pull_code(address: str, commit: str) -> dict[str, str]:
    """Clone the commit of a flow run; the run starts in that folder, with the packages it needs.

    In a pool with a `command` of its own, this process becomes the flow run. It has imported
    `flows` and `digits` of the worker, so it is replaced by one that imports those of the commit.

    Args:
        address: Of the git repository.
        commit: The deployment's: its hash, a branch or a tag. The run's own, in the job variable
            `env` as DIGITS_COMMIT, wins.

    Raises:
        DigitsError: the code or its packages cannot be had. The run is then Failed, and says so.
    """
    try:
        name = os.environ.get("DIGITS_COMMIT") or commit
        folder = checkout.check_out(repository.find_commit(name, address), address)
        python, own = checkout.environment(folder)
    except DigitsError as error:
        _fail(str(error))
        raise
    if str(folder) not in os.environ.get("PYTHONPATH", ""):
        os.environ.update(own, DIGITS_HOME=str(checkout.home()))
        # -P: there may also be `flows` in the current folder. Comes here again, with that code
        os.execv(python, [str(python), "-P", *sys.orig_argv[1:]])
    return {"directory": str(folder)}


def _fail(message: str) -> None:
    """End the flow run as Failed: Prefect would only say that a process ended with 1."""
    run_id = UUID(process.flow_run())
    flow_run_logger(flow_run_id=run_id).error(message)
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run_id, Failed(message=message), force=True)
