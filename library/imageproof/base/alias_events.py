"""An event for each alias that is set by MLflow's own page or API."""

from typing import Annotated

from pydantic import BaseModel, StringConstraints, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imageproof.base.events import emit

SET_ALIAS = "/mlflow/registered-models/alias"  # of MLflow's API, which its page uses, too
MOST_BYTES = 10_000  # of such a request

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,100}$")]


class AliasSet(BaseModel):
    name: Name
    alias: Name
    version: Name


class AliasEvents:
    """ASGI middleware of MLflow's server: an event for each alias that is set.

    So it is told who made a version champion on MLflow's own page, which no gate has judged.
    MLflow's webhooks cannot tell it: Prefect's API takes no such request.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        posted = scope["type"] == "http" and scope["method"] == "POST"
        if not posted or not scope["path"].endswith(SET_ALIAS):
            await self._app(scope, receive, send)
            return
        body, status = bytearray(), 0

        async def reading() -> Message:
            message = await receive()
            body.extend(message.get("body", b"")[: MOST_BYTES - len(body)])
            return message

        async def answering(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        await self._app(scope, reading, answering)
        if status == 200:
            await run_in_threadpool(_tell, bytes(body))


def _tell(body: bytes) -> None:
    try:
        asked = AliasSet.model_validate_json(body)
    except ValidationError:  # MLflow allows other names
        return
    resource = {"prefect.resource.id": f"{asked.name}.{asked.alias}"}
    emit(f"{asked.name}.alias", resource, asked.model_dump())
