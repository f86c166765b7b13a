"""The demo page, on which one draws a digit and sees each model's probabilities; its server."""

import socket
from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import uvicorn
from fastapi import Body, FastAPI, HTTPException
from fastapi.responses import FileResponse
from PIL import Image
from starlette.types import ASGIApp

from digits.core.dataset import Predict
from digits.core.errors import DataError, UsageError
from digits.core.guard import Guard
from digits.registry.artifacts import fetched
from digits.registry.served import Served, served
from digits.registry.trace import find_origin
from digits.registry.versions import CHALLENGER, CHAMPION, Registry
from digits.scoring.pictures import TREATMENTS, convert_picture, decode_picture

PAGE = Path(__file__).with_name("page.html")


class Player(NamedTuple):
    """A model on the page."""

    role: str
    model: Served
    predict: Predict


def players(name: str, *, threads: int) -> list[Player]:
    """The champion, and challenger and former champion if there are any; else a UsageError."""
    registry = Registry(name)
    uris = {role: f"models:/{name}@{role}" for role in (CHAMPION, CHALLENGER)}
    if (moves := registry.moves()) and moves[-1].before:
        uris["former champion"] = registry.uri(moves[-1].before)
    loaded: list[Player] = []
    for role, uri in uris.items():
        try:
            with served(uri, threads=threads) as model:
                loaded.append(Player(role, model, model.predict))
        except UsageError:
            if role == CHAMPION:
                raise
    return loaded


def demo_app(players: Sequence[Player]) -> Guard:
    """The app with the page at `/`, and `/predict`, which takes a drawing as PNG."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/")
    def page() -> FileResponse:
        return FileResponse(PAGE)

    @app.post("/predict")
    def predict(drawn: Annotated[bytes, Body()]) -> list[dict[str, Any]]:
        try:
            drawing = decode_picture(BytesIO(drawn))
            return [_answer(player, drawing) for player in players]
        except DataError as error:
            raise HTTPException(422, str(error)) from None

    return Guard(app)


def _answer(player: Player, drawing: Image.Image) -> dict[str, Any]:
    role, model, predict = player
    image, treatment = convert_picture(drawing, shape=model.files.shape, picture=model.picture)
    probabilities = predict(image[np.newaxis])[0]
    Image.fromarray(image).save(png := BytesIO(), format="PNG")
    return {
        "role": role,
        "name": f"{model.origin.uri} {model.origin.params.get('model', '')}".strip(),
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
