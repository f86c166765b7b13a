"""Protection of our local servers against requests from foreign web pages.

Any web page can make the browser send requests to 127.0.0.1. `Host` is the name by which the page
reached the server (a foreign name may resolve to 127.0.0.1), `Origin` is the page's own server.
Starlette's TrustedHostMiddleware knows neither `Origin` nor `[::1]`.
"""

import os
import socket
from collections.abc import Collection
from errno import EADDRINUSE
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.responses import PlainTextResponse
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imageproof.base._naming import project_name, variable
from imageproof.base.errors import BusyError, UsageError


def page_name() -> str:
    """The name of this machine under which a browser opens the pages of the project's servers."""
    # Browsers resolve every name below .localhost to this machine (RFC 6761). By 127.0.0.1 or
    # localhost MLflow opens its assistant, a chat with a language model, which has no setting to
    # switch it off.
    return f"{project_name()}.localhost"


def names_variable() -> str:
    """The environment variable that lists further names of this machine, comma-separated."""
    return variable("ALLOWED_HOSTS")


class Guard:
    """ASGI middleware: answer 403 to a foreign `Host` or `Origin`, and forbid foreign frames.

    `probes` are paths for which any `Host` may ask: kubelet and Prometheus use the pod's address.
    """

    def __init__(self, app: ASGIApp, *, probes: Collection[str] = ()) -> None:
        self._app = app
        self._names = _names()
        self._probes = probes

    async def __call__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        async def send_unframed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Frame-Options"] = "SAMEORIGIN"
            await send(message)

        guarded = scope["type"] in ("http", "websocket")
        refusal = self._refusal(scope["path"], Headers(scope=scope)) if guarded else ""
        if not refusal:
            await self._app(scope, receive, send_unframed)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})  # before the handshake this is a 403
        else:
            await PlainTextResponse(f"{refusal}\n", 403)(scope, receive, send)

    def _refusal(self, path: str, headers: Headers) -> str:
        host = ", ".join(headers.getlist("host"))
        name, port = _name_and_port(host)
        if name not in self._names and path not in self._probes:
            cure = f"{names_variable()} may list more names"
            return f"Host: {host!r} is no name of this server; {cure}"
        origin = headers.get("origin")
        if origin is None:
            return ""
        # localhost and 127.0.0.1 are the same server; another port is another server
        page, page_port = _name_and_port(origin.partition("://")[2])
        if page in self._names and page_port == port:
            return ""
        return f"Origin: {origin!r} is another server's page; only this server's own may ask"


def _names() -> set[str]:
    listed = os.environ.get(names_variable(), "").lower().split(",")
    names = {"127.0.0.1", "localhost", "::1", page_name(), *map(str.strip, listed)}
    return names - {""}


def _name_and_port(netloc: str) -> tuple[str | None, int | None]:
    try:
        parts = urlsplit(f"//{netloc}")
        return parts.hostname, parts.port
    except ValueError:
        return None, None


def listen(port: int, host: str = "127.0.0.1") -> socket.socket:
    """A socket that listens, by default for this machine only; port 0 takes any free one.

    BusyError if another process listens there; else UsageError.
    """
    if not host:  # would be all networks
        raise UsageError("--host: is empty; 127.0.0.1 is this machine, 0.0.0.0 all its networks")
    if port not in range(1 << 16):
        raise UsageError(f"--port: {port} is none of 0 to 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        kind = BusyError if error.errno == EADDRINUSE else UsageError
        raise kind(f"{host}:{port}: {error.strerror}; choose another") from None


def address(listening: socket.socket) -> str:
    """Where a browser finds what listens there."""
    host, port = listening.getsockname()[:2]
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}"


def pages() -> Guard:
    """Serve the files below `artifacts/`; no folder listings, no links that lead out of it."""
    return Guard(ExceptionMiddleware(StaticFiles(directory="artifacts")))


def mlflow() -> Guard:
    """MLflow's server behind the guard; `mlflow server --app-name NAME` loads it."""
    # MLflow checks Host and Origin too, by patterns, in which [[] is a bracket
    names = sorted(_names())
    hosts = [f"[[]{name}]" if ":" in name else name for name in names]
    hosts += [f"{host}:*" for host in hosts]
    origins = [f"http*://{host}" for host in hosts]
    os.environ.setdefault("MLFLOW_SERVER_ALLOWED_HOSTS", ",".join(hosts))
    os.environ.setdefault("MLFLOW_SERVER_CORS_ALLOWED_ORIGINS", ",".join(origins))
    from mlflow.server.fastapi_app import app

    return Guard(app)
