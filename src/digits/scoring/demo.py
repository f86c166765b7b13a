"""The page's server: it takes a drawing, and answers with every model's probabilities."""

import base64
import binascii
import socket
import warnings
from collections.abc import Callable, Sequence
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
from digits.core.errors import BusyError
from digits.core.guard import Guard
from digits.scoring.pictures import MIN_CONTRAST, TREATMENTS, bring

PAGE = Path(__file__).with_name("page.html")
SIDE = 280  # pixels of the canvas; a drawing is no larger
MAX_BYTES = 1_000_000


class Player(NamedTuple):
    """A model on the page: its part (`champion`), its address, and how it answers.

    `picture` is how a drawing becomes an image of this shape; see `images.bring`.
    `predict` takes images uint8 (n, height, width) and returns probabilities (n, classes).
    """

    part: str
    name: str
    shape: tuple[int, int]
    picture: Picture
    predict: Callable[[Images], np.ndarray]


class Sent(BaseModel):
    """What the page sends: the canvas as data URL."""

    drawing: str


def build(players: Sequence[Player]) -> Guard:
    """The page at `/`, and `/predict`, which answers to the drawing that it sends."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/", response_class=HTMLResponse)
    def page() -> str:
        return PAGE.read_text(encoding="utf-8")

    @app.post("/predict")
    async def predict(request: Request) -> list[dict[str, Any]]:
        return await run_in_threadpool(_answers, players, await _body(request))

    return Guard(app)


async def _body(request: Request) -> bytes:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BYTES:
                raise HTTPException(413, f"more than the {MAX_BYTES:,} bytes that are allowed")
    except ClientDisconnect:
        raise HTTPException(400, "the request breaks off") from None
    return bytes(body)


def _answers(players: Sequence[Player], body: bytes) -> list[dict[str, Any]]:
    try:
        grey = _grey(Sent.model_validate_json(body).drawing)
    except ValidationError:
        raise HTTPException(422, 'no drawing; {"drawing": "data:image/png;base64,…"} is') from None
    if np.ptp(np.asarray(grey)) < MIN_CONTRAST:
        raise HTTPException(422, "nothing is drawn")
    return [_answer(player, grey) for player in players]


def _answer(player: Player, grey: Image.Image) -> dict[str, Any]:
    image, treatment = bring(grey, shape=player.shape, picture=player.picture)
    probabilities = [float(value) for value in player.predict(image[np.newaxis])[0]]
    return {
        "part": player.part,
        "name": player.name,
        "predicted": int(np.argmax(probabilities)),
        "probabilities": probabilities,
        "picture": treatment,
        "treatment": TREATMENTS[treatment],
        "seen": _data_url(image),
    }


def _grey(drawing: str) -> Image.Image:
    """The canvas' data URL as a grey picture."""
    try:
        content = base64.b64decode(drawing.partition(",")[2], validate=True)
        with _opened(content) as image:
            if max(image.size) > SIDE:
                raise Image.DecompressionBombError
            return image.convert("L")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise HTTPException(422, f"at most {SIDE}×{SIDE} pixels are allowed") from None
    except (binascii.Error, OSError, SyntaxError, ValueError):
        raise HTTPException(422, "no PNG") from None


def _opened(png: bytes) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return Image.open(BytesIO(png), formats=["PNG"])


def _data_url(image: Images) -> str:
    png = BytesIO()
    Image.fromarray(image).save(png, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}"


def listen(port: int) -> socket.socket:
    """A socket that listens on this machine only; port 0 is any that is free.

    Raises:
        BusyError: another process listens there.
    """
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
    except OSError as error:
        listening.close()
        raise BusyError(f"127.0.0.1:{port}: {error.strerror}; --port names another") from None
    listening.listen()
    return listening


def serve(app: ASGIApp, listening: socket.socket) -> None:
    """Serve an app until the process is interrupted."""
    config = uvicorn.Config(app, log_level="warning", lifespan="off")
    uvicorn.Server(config).run(sockets=[listening])
