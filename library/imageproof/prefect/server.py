"""Prefect's server behind our guard: one for `make up`, a temporary one for a single run."""

import atexit
import os
import subprocess
import sys

from httpx import HTTPError
from prefect.client.orchestration import get_client
from prefect.context import refresh_global_settings_context
from prefect.settings import get_current_settings

from imageproof.base.errors import ServiceError
from imageproof.base.text import one_line
from imageproof.system.guard import Guard, address, listen

# a process that ends with this one, however it ends
UVICORN = (sys.executable, "-m", "imageproof.system._commands", "uvicorn", "--log-level", "error")


def app() -> Guard:
    """Prefect's server, which refuses what pages of other servers ask."""
    from prefect.server.api.server import create_app

    return Guard(create_app(final=True))


def ensure_server() -> None:
    """Start a Prefect server that ends with this process, unless one is configured."""
    if not get_current_settings().api.url:
        with listen(0) as listening:
            number = listening.fileno()
            url = f"{address(listening)}/api"
            server = subprocess.Popen(
                [*UVICORN, "--factory", "imageproof.prefect.server:app", "--fd", str(number)],
                env=os.environ | {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1"},
                pass_fds=[number],
                start_new_session=True,  # Ctrl-C is for the flow, which then tells the server
            )
        # before Prefect's own exit handlers, so they run after Prefect's
        atexit.register(server.wait)
        atexit.register(server.terminate)
        os.environ["PREFECT_API_URL"] = url
        os.environ.setdefault("PREFECT_UI_URL", "")  # it has no pages, so the log must not name any
        refresh_global_settings_context()
    with get_client(sync_client=True) as client:
        try:
            client.api_version()  # unlike the health check, it needs the login
        except HTTPError as error:
            raise no_answer(error) from None


def no_answer(error: Exception) -> ServiceError:
    """What a request to Prefect's server raised, as an error of ours."""
    reason = one_line(error) or type(error).__name__
    hint = "is the server up, and the login right? (PREFECT_API_URL says which server is asked)"
    return ServiceError(f"Prefect at {get_current_settings().api.url}: {reason}; {hint}")
