"""What the service of a model that sees colour takes and shows."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pytest
import requests
from helpers import served
from PIL import Image
from starlette.exceptions import HTTPException

from imageproof.base.dataset import Images, Probabilities, Shape
from imageproof.base.inference import Network
from imageproof.serve.app import Service
from imageproof.serve.bodies import JSON, MAX_BODY, read
from imageproof.serve.model import Confidence, Description, Model

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SHAPE = (4, 5, 3)
IMAGES = np.random.default_rng(0).integers(0, 256, (7, *SHAPE), np.uint8)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    def predict(images: Images) -> Probabilities:
        """The strongest colour, surely; nan for black."""
        strengths = images.mean(axis=(1, 2))
        answers = np.eye(3, dtype=np.float32)[strengths.argmax(axis=1)]
        answers[strengths.sum(axis=1) == 0] = np.nan
        return answers

    description = Description(
        name="lights",
        version="1",
        model_sha256="5" * 64,
        shape=SHAPE,
        class_names=["red", "green", "<blue>"],
        fit="crop",
        confidence=Confidence(coverage=0.99, threshold=0.2),
    )
    with served(Service(Model(description, Network(SHAPE, 3, predict))).app()) as port:
        yield f"http://127.0.0.1:{port}"


def test_nan_is_no_answer(address: str) -> None:
    images = IMAGES.copy()
    images[2] = 0
    response = requests.post(f"{address}/predict", json={"inputs": images.tolist()}, timeout=20)
    start = "the model gives no probabilities: 1 of 7 answers are no probabilities (row 2 has nan"
    assert response.status_code == 500
    assert response.json()["error"].startswith(start)
    answered = requests.post(f"{address}/predict", json={"inputs": IMAGES.tolist()}, timeout=20)
    assert answered.status_code == 200


def refusal(value: Any, shape: Shape = SHAPE) -> str:
    body = value if isinstance(value, bytes) else orjson.dumps({"inputs": value})
    with pytest.raises(HTTPException) as caught:
        read(JSON, body, shape, "crop")
    assert caught.value.status_code == 422
    return caught.value.detail


def test_other_lists_are_refused() -> None:
    short, flat, deep, texts, fractions = (IMAGES.tolist() for _ in range(5))
    short[3][2][1].pop()
    flat[3][2][1] = 7
    deep[3][2][1] = [[1], [2], [3]]
    texts[3][2][1] = "rgb"
    fractions[3][2][1][0] = 0.5
    grey, above = IMAGES[..., 0].tolist(), (IMAGES.astype(int) + 1).tolist()
    others = [[], [1], IMAGES[0].tolist(), grey, above]
    for value in (short, flat, deep, texts, fractions, *others):
        says = "each image 4 lists of 5 lists of 3 whole numbers from 0 to 255"
        assert refusal(value).endswith(says)


@pytest.mark.parametrize("side", [5, 224])
def test_empty_lists_are_refused_before_they_are_parsed(side: int) -> None:
    body = b'{"inputs":[' + b"[]," * (MAX_BODY // 3 - 9) + b"[]]}"
    tracemalloc.start()
    refusal(body, (side, side, 3))
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_page_says_what_a_pixel_is(address: str) -> None:
    text = requests.get(address, timeout=20).text
    assert "images of 4×5 pixels, a pixel is red, green and blue, each 0…255" in text


@pytest.mark.slow
def test_page_answers_a_picture(address: str, browser: "Browser", tmp_path: Path) -> None:
    Image.new("RGB", (90, 60), "blue").save(tmp_path / "light.bmp")
    (tmp_path / "none.png").write_bytes(b"none")
    page, errors = browser.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    page.set_input_files("input", tmp_path / "light.bmp")
    page.locator("output", has_text="<blue>, 100.0 %; answer set: <blue> (crop)").wait_for()
    assert page.locator("img").evaluate("image => image.naturalWidth") == 90
    page.set_input_files("input", tmp_path / "none.png")
    page.locator("output", has_text="no PNG, JPEG, WebP or BMP").wait_for()
    assert errors == []
