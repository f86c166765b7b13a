"""The demo page: draw or choose a picture, and see each model's probabilities."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse

from imageproof.base.errors import DataError, UsageError
from imageproof.base.files import template_file
from imageproof.pages._templates import data_uri
from imageproof.pictures._conversion import TREATMENTS
from imageproof.pictures._reading import read_picture
from imageproof.registry._version import Version, load_version
from imageproof.registry._versions import CHALLENGER, CHAMPION, Registry
from imageproof.system._bodies import Bodies
from imageproof.system.guard import Guard

Player = tuple[str, Version]  # its role, and the model


def players(name: str, *, threads: int) -> list[Player]:
    """The champion, and challenger and former champion if there are any; else a UsageError."""
    registry = Registry(name)
    uris = {role: f"models:/{name}@{role}" for role in (CHAMPION, CHALLENGER)}
    moves = registry.moves()
    if moves and moves[-1].before:
        uris["former champion"] = registry.uri(moves[-1].before)
    loaded: list[Player] = []
    for role, uri in uris.items():
        try:
            with load_version(uri, threads=threads) as model:
                loaded.append((role, model))
        except UsageError:
            if role == CHAMPION:
                raise
    return loaded


def demo_app(players: Sequence[Player], name: str) -> Guard:
    """The app of this name with the page at `/`, and `/predict`, which takes a picture."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    bodies = Bodies()
    page = template_file(Path(__file__).with_name("demo.html")).read_text("utf-8")
    page = page.replace("<title>NAME", f"<title>{name}")
    if all(len(model.files.shape) == 3 for _, model in players):
        # who knows photos is not asked about strokes of a pen
        page = page.replace(" data-drawing", "")

    @app.get("/")
    def home() -> HTMLResponse:
        return HTMLResponse(page)

    @app.post("/predict")
    async def predict(request: Request) -> list[dict[str, Any]]:
        # one picture at a time, in one thread: each thread would keep the memory of a large one
        async with bodies.read(request) as picture:
            try:
                return [_answer(player, picture) for player in players]
            except DataError as error:
                raise HTTPException(422, str(error)) from None

    return Guard(app)


def _answer(player: Player, picture: bytes) -> dict[str, Any]:
    role, model = player
    image, treatment = read_picture(BytesIO(picture), shape=model.files.shape, fit=model.fit)
    probabilities = model.predict(image[np.newaxis])[0]
    predicted = int(probabilities.argmax())
    names = model.files.class_names
    return {
        "role": role,
        "name": f"{model.origin.uri} {model.origin.params.get('model', '')}".strip(),
        "predicted": predicted,
        "predicted_name": names[predicted],
        "probabilities": probabilities.tolist(),
        "classes": names,
        "picture": f"{treatment}: {TREATMENTS[treatment]}",
        "seen": data_uri(image),
    }
