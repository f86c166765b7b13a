"""What the service of a model that sees colour takes and shows."""

import tracemalloc
from io import BytesIO

import numpy as np
import orjson
import pytest
from packaged import JSON, within
from PIL import Image
from starlette.exceptions import HTTPException

from imageproof.base._inference import Network
from imageproof.serve._app import Service
from imageproof.serve._bodies import MAX_BODY, read
from imageproof.serve._model import Model

SHAPE = (4, 5, 3)
IMAGES = np.random.default_rng(0).integers(0, 256, (7, *SHAPE), np.uint8)


def strongest_colour(images):
    """Surely; nan for black."""
    strengths = images.mean(axis=(1, 2))
    answers = np.eye(3, dtype=np.float32)[strengths.argmax(axis=1)]
    answers[strengths.sum(axis=1) == 0] = np.nan
    return answers


@pytest.fixture(scope="module")
def description(package):
    names = ["red", "green", "<blue>"]
    changes = {"shape": SHAPE, "class_names": names, "fit": "crop"}
    return package.description.model_copy(update=changes)


@pytest.fixture(scope="module")
def client(description):
    model = Model(description, Network(SHAPE, 3, strongest_colour))
    with within(Service(model).app()) as client:
        yield client


def test_nan_is_no_answer(client):
    images = IMAGES.copy()
    images[2] = 0
    response = client.post("/predict", {"inputs": images.tolist()})
    assert response.status_code == 500
    start = "the model gives no probabilities: 1 of 7 answers are no probabilities (row 2 has nan"
    assert response.json()["error"].startswith(start)
    assert len(client.predict(IMAGES)) == 7


def test_picture_of_over_5_mb_is_answered(client):
    picture = BytesIO()
    Image.new("RGB", (40, 30), "lime").save(picture, "PNG")
    body = picture.getvalue().ljust(5_000_001)
    [prediction] = client.post("/predict", body, "image/png").json()["predictions"]
    assert prediction["predicted"] == "green"


def refusal(description, body):
    with pytest.raises(HTTPException) as caught:
        read(JSON, description, body)
    assert caught.value.status_code == 422
    return caught.value.detail


def with_pixel(pixel):
    """The images as lists, one of whose pixels is another."""
    images = IMAGES.tolist()
    images[3][2][1] = pixel
    return images


@pytest.mark.parametrize(
    "value", [with_pixel([1, 2]), with_pixel([1, 2, True]), with_pixel([1, 2, 256]), []]
)
def test_other_lists_are_refused(description, value):
    allowed = "each image 4 lists of 5 lists of 3 whole numbers from 0 to 255"
    assert refusal(description, orjson.dumps({"inputs": value})).endswith(allowed)


def test_empty_lists_are_refused_before_they_are_parsed(description):
    body = b'{"inputs":[' + b"[]," * (MAX_BODY // 3 - 9) + b"[]]}"
    tracemalloc.start()
    refusal(description.model_copy(update={"shape": (224, 224, 3)}), body)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


@pytest.mark.slow
def test_page_answers_a_picture(client, browser, tmp_path):
    Image.new("RGB", (90, 60), "blue").save(tmp_path / "light.bmp")
    (tmp_path / "none.png").write_bytes(b"none")
    errors = []
    page = browser.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(client.address)
    page.set_input_files("input", tmp_path / "light.bmp")
    blue = "\u2068<blue>\u2069"
    text = f"{blue}, 100.0 %; answer set: {blue}; picture: crop"
    page.locator("output", has_text=text).wait_for()
    assert page.locator("img").evaluate("image => image.naturalWidth") == 90
    page.set_input_files("input", tmp_path / "none.png")
    page.locator("output", has_text="no PNG, JPEG, WebP or BMP").wait_for()
    assert errors == []
