"""A server in GitHub's place."""

import json
from contextlib import contextmanager
from typing import Any, NamedTuple

from helpers import served

TOKEN = "token-of-the-test"


class Message(NamedTuple):
    """What arrived."""

    path: str
    token: str
    body: dict[str, Any]


@contextmanager
def github():
    """Its address, and what it was sent."""
    messages = []

    async def receive(scope, receive, send):
        body = b""
        while (part := await receive()).get("more_body"):
            body += part["body"]
        headers = dict(scope["headers"])
        token = headers.get(b"authorization", b"").decode()
        messages.append(Message(scope["path"], token, json.loads(body + part["body"])))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    with served(receive) as port:
        yield f"http://127.0.0.1:{port}", messages
