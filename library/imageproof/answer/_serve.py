"""Answer as `mlflow models serve` does."""

from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from imageproof.registry._model_files import fetched
from imageproof.registry._version import find_origin
from imageproof.system._bodies import MAX_BYTES, Bodies
from imageproof.system.guard import Guard


def mlflow_app(uri: str) -> tuple[str, Guard]:
    """A version's address with its number, and MLflow's own app that serves its verified files."""
    from mlflow.pyfunc import scoring_server

    origin = find_origin(uri)
    with fetched(origin.uri, origin.model_sha256) as files:
        app = scoring_server.init(files.load_as_served())
    bodies = Bodies(6 * MAX_BYTES)

    async def limited(scope: Scope, receive: Receive, send: Send) -> None:
        async with bodies.read(Request(scope, receive)) as body:
            messages: list[Message] = [{"type": "http.request", "body": body}]

            async def received() -> Message:
                return messages.pop() if messages else await receive()

            await app(scope, received, send)

    return origin.uri, Guard(ExceptionMiddleware(limited))
