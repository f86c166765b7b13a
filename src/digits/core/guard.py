"""Which requests our servers answer: those of programs, and of pages that they serve themselves.

A browser sends what any web page asks to any address, this machine's too. `Host` says by which
name the page found the server (its own name may mean 127.0.0.1), `Origin` says whose page it is.
"""

import os
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HERE = ("127.0.0.1", "localhost", "::1")
ALSO = "DIGITS_ALLOWED_HOSTS"  # other names of this machine, separated by commas


class Guard:
    """An ASGI app that refuses (403) a foreign `Host`, a foreign `Origin`, and foreign frames."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        others = os.environ.get(ALSO, "").lower().split(",")
        self._names = {*HERE, *filter(None, map(str.strip, others))}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or WebSocket, or pass it on."""

        async def send_unframed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Frame-Options"] = "SAMEORIGIN"
            await send(message)

        refusal = None
        if scope["type"] in ("http", "websocket"):
            refusal = self._refusal(Headers(scope=scope))
        if not refusal:
            await self._app(scope, receive, send_unframed)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})  # which is a 403 before the handshake
        else:
            await PlainTextResponse(refusal, status_code=403)(scope, receive, send)

    def _refusal(self, headers: Headers) -> str | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        name, port = _name_and_port(host)
        if name not in self._names:
            return f"Host: {host!r} is no name of this server; {ALSO} may list more names\n"
        if origin is None:
            return None
        # localhost and 127.0.0.1 are one place, another port is another server
        page, page_port = _name_and_port(origin.partition("://")[2])
        if page in self._names and page_port == port:
            return None
        return f"Origin: {origin!r} is another server's page; only this server's own may ask\n"


def _name_and_port(netloc: str) -> tuple[str | None, int | None]:
    try:
        parts = urlsplit(f"//{netloc}")
        return parts.hostname, parts.port
    except ValueError:
        return None, None


def pages() -> Guard:
    """The files below `artifacts/`, without listings and what links lead to elsewhere."""
    return Guard(Starlette(routes=[Mount("/", StaticFiles(directory="artifacts"))]))


def mlflow() -> Guard:
    """MLflow's server, as `mlflow server --app-name digits` finds it."""
    from mlflow.server.fastapi_app import app

    return Guard(app)
