"""Answer as `mlflow models serve` does; what the apps of this machine share."""

from fastapi import FastAPI, HTTPException
from starlette.types import Message, Receive, Scope, Send

from imageproof.registry._model_files import fetched
from imageproof.registry._version import find_origin
from imageproof.system.guard import Guard

MAX_ARRAYS = 20_000_000  # bytes of a request to MLflow's app


class Limited:
    """ASGI middleware: FastAPI answers 413 to a body of over `max_bytes`, before it is parsed."""

    def __init__(self, app: FastAPI, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        size = 0

        async def limited() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._max_bytes:
                raise HTTPException(413, f"over {self._max_bytes:,} bytes long")
            return message

        await self._app(scope, limited, send)


def mlflow_app(uri: str) -> tuple[str, Guard]:
    """A version's address with its number, and MLflow's own app that serves its verified files."""
    from mlflow.pyfunc import scoring_server

    origin = find_origin(uri)
    with fetched(origin.uri, origin.model_sha256) as files:
        app = scoring_server.init(files.load_as_served())
    return origin.uri, Guard(Limited(app, MAX_ARRAYS))
