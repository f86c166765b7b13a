"""The demo page, on which one draws a digit and sees each model's probabilities; its server."""

import socket
from base64 import b64encode
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
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp

from digits.core.dataset import Images, Picture
from digits.core.errors import DataError, UsageError
from digits.core.guard import Guard
from digits.registry.artifacts import fetched
from digits.registry.served import served
from digits.registry.trace import find_origin
from digits.registry.versions import CHALLENGER, CHAMPION, Registry, find
from digits.scoring.pictures import MIN_CONTRAST, TREATMENTS, convert_picture, decode_picture

PAGE = Path(__file__).with_name("page.html")
MAX_BYTES = 1_000_000  # of a drawing


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


def players(name: str, *, threads: int) -> list[Player]:
    """The champion, and the challenger or else the former champion; UsageError without champion."""
    loaded = []
    for role, uri in {CHAMPION: f"models:/{name}@{CHAMPION}", **_opponent(Registry(name))}.items():
        with served(uri, threads=threads) as model:
            title = f"{model.origin.uri} {model.origin.params.get('model', '')}".strip()
            loaded.append(Player(role, title, model.files.shape, model.picture, model.predict))
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
    """The app with the page at `/`, and `/predict`, which takes a drawing as PNG."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/", response_class=HTMLResponse)
    def page() -> str:
        return PAGE.read_text(encoding="utf-8")

    @app.post("/predict")
    async def predict(request: Request) -> list[dict[str, Any]]:
        drawn = bytearray()
        with suppress(ClientDisconnect):
            async for chunk in request.stream():
                drawn += chunk
                if len(drawn) > MAX_BYTES:
                    raise HTTPException(413, f"over {MAX_BYTES:,} bytes long")
        return await run_in_threadpool(_answers, players, bytes(drawn))

    return Guard(app)


def _answers(players: Sequence[Player], drawn: bytes) -> list[dict[str, Any]]:
    try:
        drawing = decode_picture(BytesIO(drawn)).convert("L")
    except DataError as error:
        raise HTTPException(422, str(error)) from None
    if np.ptp(np.asarray(drawing)) < MIN_CONTRAST:
        raise HTTPException(422, "nothing is drawn")
    return [_answer(player, drawing) for player in players]


def _answer(player: Player, drawing: Image.Image) -> dict[str, Any]:
    image, treatment = convert_picture(drawing, shape=player.shape, picture=player.picture)
    probabilities = player.predict(image[np.newaxis])[0]
    Image.fromarray(image).save(png := BytesIO(), format="PNG")
    return {
        "role": player.role,
        "name": player.name,
        "predicted": int(probabilities.argmax()),
        "probabilities": probabilities.tolist(),
        "picture": f"{treatment}: {TREATMENTS[treatment]}",
        "seen": f"data:image/png;base64,{b64encode(png.getvalue()).decode()}",
    }


def mlflow_app(uri: str) -> tuple[str, Guard]:
    """A version's address with its number, and MLflow's own app that serves its verified files."""
    from mlflow.pyfunc import scoring_server

    origin = find_origin(uri)
    with fetched(origin.uri, origin.model_sha256) as files:
        return origin.uri, Guard(scoring_server.init(files.load_as_served()))


def serve_app(app: ASGIApp, listening: socket.socket) -> None:
    """Serve an app until the process is interrupted."""
    config = uvicorn.Config(app, log_level="warning", lifespan="off")
    uvicorn.Server(config).run(sockets=[listening])
