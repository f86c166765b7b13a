"""Answer as `mlflow models serve` does."""

from functools import partial
from typing import Any

from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from imageproof.base._inference import PROBABILITIES, not_probabilities
from imageproof.registry._model_files import fetched
from imageproof.registry._version import find_origin
from imageproof.system._bodies import MAX_BYTES, Bodies
from imageproof.system.guard import Guard


def mlflow_app(uri: str) -> tuple[str, Guard]:
    """A version's address with its number, and MLflow's own app that serves its verified files."""
    from mlflow.pyfunc import scoring_server

    origin = find_origin(uri)
    with fetched(origin.uri, origin.model_sha256) as files:
        model = files.load_as_served()
    model.predict = partial(_checked, model.predict)
    app = scoring_server.init(model)
    bodies = Bodies(6 * MAX_BYTES)

    async def limited(scope: Scope, receive: Receive, send: Send) -> None:
        async with bodies.read(Request(scope, receive)) as body:
            messages: list[Message] = [{"type": "http.request", "body": body}]

            async def received() -> Message:
                return messages.pop() if messages else await receive()

            await app(scope, received, send)

    return origin.uri, Guard(ExceptionMiddleware(limited))


def _checked(predict: Any, data: Any, params: Any = None) -> Any:
    """The answers; MLflow would answer 200 to NaN, with a class, and its JSON would be none."""
    from mlflow.exceptions import MlflowException

    answers = predict(data, params=params)
    if finding := not_probabilities(answers[PROBABILITIES]):
        raise MlflowException(f"the model gives no probabilities: {finding}")
    return answers
