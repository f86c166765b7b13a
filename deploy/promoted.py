"""Start the GitHub workflow `promoted` when a model of MLflow becomes champion.

    python deploy/promoted.py digits OWNER/REPOSITORY --port 8090

MLflow's server signs what it sends: docs/how-to/promotion.md says how both are set up. An example
to copy: it needs nothing of this project. Environment: MLFLOW_WEBHOOK_SECRET, the secret that
MLflow was given; GITHUB_TOKEN, which may write contents of the repository and nothing else.
"""

import base64
import hashlib
import hmac
import json
import os
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

MOST_BYTES = 100_000
MOST_S = 300  # between MLflow's clock and ours, and between a message and its last repetition
GITHUB = "https://api.github.com"


class Receiver:
    """Passes a champion's version on to GitHub, if MLflow signed it just now, and only once."""

    def __init__(self, model: str, repository: str) -> None:
        self._model = model
        secret = os.environ.get("MLFLOW_WEBHOOK_SECRET")
        self._token = os.environ.get("GITHUB_TOKEN")
        if not secret or not self._token:  # anybody could sign with an empty secret
            raise SystemExit("error: MLFLOW_WEBHOOK_SECRET and GITHUB_TOKEN are needed")
        self._secret = secret.encode()
        self._address = f"{os.environ.get('GITHUB_API_URL', GITHUB)}/repos/{repository}/dispatches"
        self._passed_on: dict[str, float] = {}  # when, by the message's id

    async def receive(self, request: Request) -> Response:
        size = request.headers.get("content-length", "")
        if not size.isdecimal() or int(size) > MOST_BYTES:
            raise HTTPException(413, f"a body of at most {MOST_BYTES:,} bytes is allowed")
        body = await request.body()
        identity = self._check(request.headers, body)
        if identity in self._passed_on:
            raise HTTPException(409, "this message came before")
        self._passed_on[identity] = time.time()
        if version := self._champion(json.loads(body)):
            uri = f"models:/{self._model}/{version}"
            try:
                await self._dispatch(uri)
            except httpx.HTTPError as error:
                del self._passed_on[identity]  # MLflow sends it again, a few times
                print(f"error: {uri} was not passed on: GitHub: {error}", file=sys.stderr)
                raise HTTPException(502, f"GitHub: {error}") from None
        return Response(status_code=204)

    def _check(self, headers: Mapping[str, str], body: bytes) -> str:
        """The message's id; 401 if its signature is not MLflow's, or of another time."""
        identity = headers.get("x-mlflow-delivery-id", "")
        sent = headers.get("x-mlflow-timestamp", "")
        signed = f"{identity}.{sent}.".encode() + body
        digest = hmac.digest(self._secret, signed, hashlib.sha256)
        signature = b"v1," + base64.b64encode(digest)
        if not hmac.compare_digest(headers.get("x-mlflow-signature", "").encode(), signature):
            raise HTTPException(401, "the signature is missing or wrong")
        now = time.time()
        if abs(now - int(sent)) > MOST_S:
            raise HTTPException(401, f"the signature is older than {MOST_S} s")
        self._passed_on = {k: t for k, t in self._passed_on.items() if now - t < 2 * MOST_S}
        return identity

    def _champion(self, event: dict[str, object]) -> str:
        """The version that became champion; empty if the event is another one."""
        data = event["data"]
        assert isinstance(data, dict)
        kind = event["entity"], event["action"], data.get("name"), data.get("alias")
        expected = ("model_version_alias", "created", self._model, "champion")
        return str(int(data["version"])) if kind == expected else ""

    async def _dispatch(self, uri: str) -> None:
        message = {"event_type": "promoted", "client_payload": {"model": uri}}
        headers = {"Authorization": f"Bearer {self._token}"}
        async with httpx.AsyncClient(timeout=20) as client:
            answer = await client.post(self._address, json=message, headers=headers)
        answer.raise_for_status()


def options() -> Namespace:
    parser = ArgumentParser(description="Start GitHub's workflow `promoted` for MLflow.")
    parser.add_argument("model", help="name of the registered model")
    parser.add_argument("repository", help="OWNER/REPOSITORY on GitHub")
    parser.add_argument("--port", type=int, default=8090)
    return parser.parse_args()


if __name__ == "__main__":
    arguments = options()
    receiver = Receiver(arguments.model, arguments.repository)
    app = Starlette(routes=[Route("/", receiver.receive, methods=["POST"])])
    uvicorn.run(app, host="127.0.0.1", port=arguments.port, log_level="warning")
