"""The demo page, on which one draws a digit and sees each model's probabilities; its server."""

import base64
import binascii
import socket
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse
from PIL import Image
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp

from digits.core.dataset import Images, Picture
from digits.core.errors import IntegrityError, UsageError
from digits.core.guard import Guard
from digits.registry.artifacts import fetched
from digits.registry.served import served
from digits.registry.trace import find_origin
from digits.registry.versions import CHALLENGER, CHAMPION, Registry, find
from digits.scoring.pictures import MIN_CONTRAST, TREATMENTS, convert_picture

PAGE = Path(__file__).with_name("page.html")
SIDE = 280  # pixels of the page's canvas; a larger drawing is refused
MAX_BYTES = 1_000_000


class Player(NamedTuple):
    """A model on the page: its role (`champion`), its name, and how it predicts.

    `picture` says how a drawing is converted to this shape; see `pictures.convert_picture`.
    `predict` takes images uint8 (n, height, width) and returns probabilities (n, classes).
    """

    role: str
    name: str
    shape: tuple[int, int]
    picture: Picture
    predict: Callable[[Images], np.ndarray]


class Drawn(BaseModel):
    """What the page sends: the canvas as a data URL."""

    drawing: str


def players(name: str, *, threads: int) -> list[Player]:
    """Load the champion, and the challenger or else the former champion, if there is one.

    Raises:
        UsageError: there is no champion yet.
    """
    uris = {CHAMPION: f"models:/{name}@{CHAMPION}", **_opponent(Registry(name))}
    loaded = []
    for role, uri in uris.items():
        with served(uri, threads=threads) as model:
            name = f"{model.origin.uri} {model.origin.params.get('model', '')}".strip()
            loaded.append(Player(role, name, model.files.shape, model.picture, model.predict))
    return loaded


def _opponent(registry: Registry) -> dict[str, str]:
    """The first of challenger and former champions that is another version than the champion."""
    champion, moves = registry.champion(), registry.moves()
    former = [("former champion", registry.uri(m.after)) for m in reversed(moves) if m.after]
    for role, uri in [(CHALLENGER, f"models:/{registry.name}@{CHALLENGER}"), *former]:
        with suppress(UsageError):  # it was deleted
            if str(find(uri).version) != champion:
                return {role: uri}
    return {}


def demo_app(players: Sequence[Player]) -> Guard:
    """The app with the page at `/`, and `/predict`, which takes a drawing."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/", response_class=HTMLResponse)
    def page() -> str:
        return PAGE.read_text(encoding="utf-8")

    @app.post("/predict")
    async def predict(request: Request) -> list[dict[str, Any]]:
        return await run_in_threadpool(_answers, players, await _body(request))

    return Guard(app)


async def _body(request: Request) -> bytes:
    """The request's body, refused as soon as it is too large."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BYTES:
                raise HTTPException(413, f"more than the {MAX_BYTES:,} bytes that are allowed")
    except ClientDisconnect:
        raise HTTPException(400, "the request was cut off") from None
    return bytes(body)


def _answers(players: Sequence[Player], body: bytes) -> list[dict[str, Any]]:
    try:
        drawing = _decoded(Drawn.model_validate_json(body).drawing)
    except ValidationError:
        hint = 'send {"drawing": "data:image/png;base64,…"}'
        raise HTTPException(422, f"no drawing; {hint}") from None
    if np.ptp(np.asarray(drawing)) < MIN_CONTRAST:
        raise HTTPException(422, "nothing is drawn")
    return [_answer(player, drawing) for player in players]


def _answer(player: Player, drawing: Image.Image) -> dict[str, Any]:
    image, treatment = convert_picture(drawing, shape=player.shape, picture=player.picture)
    probabilities = [float(value) for value in player.predict(image[np.newaxis])[0]]
    png = BytesIO()
    Image.fromarray(image).save(png, format="PNG")
    return {
        "role": player.role,
        "name": player.name,
        "predicted": int(np.argmax(probabilities)),
        "probabilities": probabilities,
        "picture": treatment,
        "treatment": TREATMENTS[treatment],
        "seen": f"data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}",
    }


def _decoded(drawing: str) -> Image.Image:
    """The canvas' data URL as a grey picture; its size is checked before it is decompressed."""
    try:
        content = base64.b64decode(drawing.partition(",")[2], validate=True)
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(BytesIO(content), formats=["PNG"])
        with image:
            if max(image.size) > SIDE:
                raise Image.DecompressionBombError
            return image.convert("L")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise HTTPException(422, f"at most {SIDE}×{SIDE} pixels are allowed") from None
    except (binascii.Error, OSError, SyntaxError, ValueError):
        raise HTTPException(422, "no PNG") from None


def mlflow_app(uri: str, *, threads: int) -> tuple[str, Guard]:
    """A version's address with its number, and MLflow's own app that serves it.

    Raises:
        IntegrityError: its files are not those that were logged, or no hash was recorded.
    """
    from mlflow.pyfunc import scoring_server

    origin = find_origin(uri)
    if not origin.model_sha256:
        raise IntegrityError(
            f"{origin.uri}: no hash recorded when it was logged, so its files cannot be checked; "
            "train and promote the model again"
        )
    with fetched(origin.uri, origin.model_sha256) as files:
        return origin.uri, Guard(scoring_server.init(files.load_as_served()))


def serve_app(app: ASGIApp, listening: socket.socket) -> None:
    """Serve an app until the process is interrupted."""
    config = uvicorn.Config(app, log_level="warning", lifespan="off")
    uvicorn.Server(config).run(sockets=[listening])
