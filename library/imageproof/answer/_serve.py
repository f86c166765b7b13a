"""Answer as `mlflow models serve` does; what the apps of this machine share."""

import asyncio

from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imageproof.registry._model_files import fetched
from imageproof.registry._version import find_origin
from imageproof.system.guard import Guard

MAX_ARRAYS = 20_000_000  # bytes of a request to MLflow's app
BODY_S = 10.0  # from the head of a request until its body is there


class Limited:
    """ASGI middleware: refuse a body of more than `max_bytes`, or that takes more than BODY_S."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        body = bytearray()
        status = 0
        try:
            async with asyncio.timeout(BODY_S):
                async for chunk in Request(scope, receive).stream():
                    body += chunk
                    if len(body) > self._max_bytes:
                        status = 413
                        break
        except TimeoutError:
            status = 408
        except ClientDisconnect:
            return None
        if status:
            limits = f"at most {self._max_bytes:,} bytes within {BODY_S:g} s are allowed"
            return await JSONResponse({"detail": limits}, status)(scope, receive, send)
        messages: list[Message] = [{"type": "http.request", "body": bytes(body)}]

        async def received() -> Message:
            return messages.pop() if messages else await receive()

        return await self._app(scope, received, send)


def mlflow_app(uri: str) -> tuple[str, Guard]:
    """A version's address with its number, and MLflow's own app that serves its verified files."""
    from mlflow.pyfunc import scoring_server

    origin = find_origin(uri)
    with fetched(origin.uri, origin.model_sha256) as files:
        app = scoring_server.init(files.load_as_served())
    return origin.uri, Guard(Limited(app, MAX_ARRAYS))
