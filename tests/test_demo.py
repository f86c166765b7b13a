"""The page on which one draws, and its server."""

from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import finding
from intruder import statuses
from mlflow import MlflowClient
from packaged import within
from PIL import Image
from support import NAME

from imageproof.answer._demo import demo_app, players
from imageproof.base.errors import UsageError
from imageproof.system import _bodies


def tall(images):
    """Calls what is much higher than wide a 1, and all else a 0."""
    ink = images[0] > 0
    narrow = ink.any(axis=0).sum() * 2 < ink.any(axis=1).sum()
    return np.eye(10, dtype=np.float32)[[int(narrow)]]


def undecided(images):
    return np.full((len(images), 10), 0.1, np.float32)


def player(role, version, shape, fit, predict):
    names = ["null", "eins", *"23456789"]
    origin = SimpleNamespace(uri=f"models:/digits/{version}", params={"model": "mlp"})
    files = SimpleNamespace(shape=shape, class_names=names)
    return role, SimpleNamespace(origin=origin, files=files, fit=fit, predict=predict)


@pytest.fixture(scope="module")
def client():
    players = [
        player("champion", 2, (28, 28), "digit", tall),
        player("challenger", 3, (8, 8), "stretch", undecided),
    ]
    with within(demo_app(players, NAME)) as client:
        yield client


def drawing():
    pixels = np.zeros((280, 280), np.uint8)
    pixels[70:140, 135:145] = 255
    Image.fromarray(pixels).save(content := BytesIO(), format="PNG")
    return content.getvalue()


@pytest.mark.slow
def test_page(browser, client):
    urls = []
    errors = []
    page = browser.new_page()
    page.on("request", lambda request: urls.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(client.address)
    canvas = page.locator("canvas").bounding_box()
    middle = canvas["x"] + canvas["width"] / 2
    page.mouse.move(middle, canvas["y"] + canvas["height"] * 0.15)
    page.mouse.down()
    page.mouse.move(middle, canvas["y"] + canvas["height"] * 0.85, steps=5)
    page.mouse.up()
    page.locator("#champion .predicted", has_text="eins").wait_for()
    assert page.locator("#challenger .class").count() == 10
    spoken = page.locator("#spoken").inner_text()
    assert spoken == "champion: eins, 100.0 %; challenger: null, 10.0 %"
    assert page.evaluate("percent(0.9999)") == ">99.9 %"
    page.get_by_role("button", name="Clear").click()
    assert page.locator("section").count() == 0
    picture = {"name": "any.png", "mimeType": "image/png"}
    page.set_input_files("#file", picture | {"buffer": drawing()})
    page.locator("#champion .predicted", has_text="eins").wait_for()
    page.set_input_files("#file", picture | {"buffer": b"none"})
    page.locator("#message", has_text="no PNG, JPEG, WebP or BMP").wait_for()
    assert page.locator("section").count() == 0
    assert errors == []
    assert [url for url in urls if url.startswith("http") and client.address not in url] == []


def test_drawing_is_answered_by_each_model(client):
    body = drawing()
    body += bytes(_bodies.MAX_BYTES - len(body))
    first, second = client.post("/predict", body, "image/png").json()
    assert first.items() > {"role": "champion", "predicted": 1, "predicted_name": "eins"}.items()
    assert first["picture"].startswith("digit: cropped")
    assert second["name"] == "models:/digits/3 mlp"
    assert second["probabilities"] == pytest.approx([0.1] * 10)
    assert client.post("/predict", b"none", "image/png").status_code == 422


def test_foreign_pages_are_refused(client):
    routes = [("GET", "/"), ("POST", "/predict")]
    assert statuses(client.port, routes, Host="evil") == {403: routes}


def test_opponent(chain):
    def roles():
        return {role: model.origin.uri for role, model in players(NAME, threads=2)}

    first, second, third = (f"models:/digits/{number}" for number in (1, 2, 3))
    assert roles() == {"champion": third, "former champion": second}
    chain.set_alias("challenger", "1")
    client = MlflowClient()
    client.delete_model_version(NAME, "2")
    assert roles() == {"champion": third, "challenger": first}
    client.delete_registered_model_alias(NAME, "champion")
    finding(UsageError, roles)
