"""Prefect's server behind our guard: one for `make up`, a temporary one for a single run."""

import atexit
import os
import signal
import socket
import subprocess
import sys
import time
from threading import Thread

import httpx
import requests
import uvicorn
from prefect.context import refresh_global_settings_context
from prefect.logging import get_logger
from prefect.settings import get_current_settings

from digits.core.errors import ServiceError, one_line
from digits.core.guard import Guard

START_S, END_S = 120, 10


def app(*, ephemeral: bool = False) -> Guard:
    """Prefect's server; `ephemeral`: without web pages and background services."""
    from prefect.server.api.server import create_app

    return Guard(create_app(ephemeral=ephemeral, final=True))


def ensure_server() -> None:
    """Start a Prefect server that ends with this process, unless one is configured.

    Raises:
        ServiceError: it did not start.
    """
    if get_current_settings().api.url:
        return
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = subprocess.Popen(
            [sys.executable, "-m", "flows.support.server", str(listening.fileno())],
            stdin=subprocess.PIPE,  # closed by the kernel when this process ends, however it ends
            pass_fds=[listening.fileno()],
            start_new_session=True,  # Ctrl-C is for the flow, which then tells the server
        )
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    atexit.register(server.communicate)  # before Prefect's own exit handlers, so it runs after them
    get_logger().info("Starting temporary server on %s", address)
    try:
        requests.get(f"{address}/api/health", timeout=START_S).raise_for_status()
    except requests.RequestException as error:
        raise ServiceError(f"Prefect: the temporary server did not start: {error}") from None
    os.environ["PREFECT_API_URL"] = f"{address}/api"
    os.environ.setdefault("PREFECT_UI_URL", "")  # it has no pages, so the log must not name any
    refresh_global_settings_context()


def no_answer(error: BaseException | None) -> ServiceError | None:
    """The error to show if Prefect's server was away or failed; None for every other error."""
    hint = "(PREFECT_API_URL says which server is asked)"
    if isinstance(error, RuntimeError) and "Failed to reach API" in str(error):
        return ServiceError(f"Prefect: {error} {hint}")
    is_failing = isinstance(error, httpx.HTTPStatusError) and error.response.is_server_error
    if is_failing or isinstance(error, httpx.TransportError):
        address = get_current_settings().api.url
        reason = one_line(error) or type(error).__name__
        return ServiceError(f"Prefect at {address}: {reason}; is the server up? {hint}")
    return None


def _end_with_parent() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(END_S)
    os._exit(1)


if __name__ == "__main__":
    Thread(target=_end_with_parent, daemon=True).start()
    config = uvicorn.Config(app(ephemeral=True), log_level="error", lifespan="on")
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[1]))])
