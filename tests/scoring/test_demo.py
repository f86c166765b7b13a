"""The page on which one draws, in a real browser, without a network."""

import os
import subprocess
import sys
from base64 import b64encode
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import requests
from arena import NAME, accept, fighter, prepare
from intruder import attack, foreign, statuses
from mlflow import MlflowClient
from PIL import Image
from support import finding, served

from digits.core.errors import BusyError, UsageError
from digits.core.guard import listen
from digits.registry import promotion
from digits.registry.versions import Registry
from digits.scoring.demo import Player, demo_app, players
from digits.tracking import store


def tall(images):
    """Calls what is much higher than wide a 1, and all else a 0."""
    ink = images[0] > 0
    narrow = ink.any(axis=0).sum() * 2 < ink.any(axis=1).sum()
    return np.eye(10, dtype=np.float32)[[1 if narrow else 0]]


def undecided(images):
    return np.full((len(images), 10), 0.1, np.float32)


PLAYERS = [
    Player("champion", "models:/digits/2 cnn", (28, 28), "digit", tall),
    Player("challenger", "models:/digits/3 mlp", (8, 8), "plain", undecided),
]


@pytest.fixture(scope="module")
def address():
    with served(demo_app(PLAYERS)) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def opened(browser):
    """Opens a page; whatever it asks of another address than its own fails the test."""
    foreign_urls, errors = [], []
    context = browser.new_context()

    def open_page(address):
        def guard(route):
            own = route.request.url.startswith(f"{address}/")
            return route.continue_() if own else foreign_urls.append(route.request.url)

        context.route("**/*", guard)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        return page

    yield open_page
    context.close()
    assert (foreign_urls, errors) == ([], [])


def draw(page, *points):
    """One stroke of the mouse through points, as shares of the canvas."""
    box = page.locator("canvas").bounding_box()
    places = [(box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=5)
    page.mouse.up()


@pytest.mark.slow
def test_drawing_is_named_by_both_side_by_side(opened, address):
    page = opened(address)
    draw(page, (0.5, 0.15), (0.5, 0.85))
    page.locator("#champion .predicted", has_text="1").wait_for()
    assert page.locator("#champion .best").inner_text().split() == ["1", "100.0", "%"]
    assert page.locator("#challenger .class").count() == 10
    assert "digit: cropped to the ink" in page.locator("#champion").inner_text()
    left, right = (page.locator(f"#{role}").bounding_box() for role in ("champion", "challenger"))
    assert left["x"] + left["width"] <= right["x"]
    draw(page, (0.15, 0.5), (0.85, 0.5))
    page.locator("#champion .best", has_text="0").wait_for()
    page.get_by_role("button", name="Clear").click()
    assert page.locator("section").count() == 0
    draw(page, (0.5, 0.15), (0.5, 0.85))
    page.locator("#champion .predicted", has_text="1").wait_for()


def drawing(width=280, height=280, ink=255, form="PNG"):
    page = np.zeros((height, width), np.uint8)
    page[height // 4 : height // 2, width // 2 - 5 : width // 2 + 5] = ink
    Image.fromarray(page).save(content := BytesIO(), format=form)
    return f"data:image/png;base64,{b64encode(content.getvalue()).decode()}"


def test_drawing_is_answered_by_each_model(address):
    response = requests.post(f"{address}/predict", json={"drawing": drawing()}, timeout=20)
    first, second = response.json()
    assert (first["role"], first["predicted"], first["picture"]) == ("champion", 1, "digit")
    assert (second["name"], second["picture"]) == ("models:/digits/3 mlp", "plain")
    assert second["probabilities"] == pytest.approx([0.1] * 10)


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        ("data:image/png;base64,bm8=", "neither PNG nor JPEG"),
        ("é", "neither PNG nor JPEG"),
        (drawing(281, 281), "at most 0.0784 are allowed"),
        (drawing(ink=0), "nothing is drawn"),
        (1, ""),
    ],
)
def test_other_than_a_drawing_is_refused(address, sent, says):
    response = requests.post(f"{address}/predict", json={"drawing": sent}, timeout=20)
    assert response.status_code == 422
    assert says in str(response.json()["detail"])


@pytest.mark.slow
def test_other_pages_are_not_answered(address, browser):
    port, routes = int(address.rpartition(":")[2]), [("GET", "/"), ("POST", "/predict")]
    assert attack(browser, port, [["/predict", "{}"]], [["/", ""]]) == set()
    for headers in foreign(port):
        assert statuses(port, routes, **headers) == {403: routes}


def test_taken_port_is_one_line():
    with listen(0) as taken:
        port = taken.getsockname()[1]
        assert f"127.0.0.1:{port}: " in finding(BusyError, lambda: listen(port))


def roles():
    return {player.role: player.name for player in players(NAME, threads=2)}


def test_opponent_is_the_challenger_or_the_champion_before(chain):
    first, second, third = (f"models:/digits/{number} mlp" for number in (1, 2, 3))
    assert roles() == {"champion": third, "former champion": second}
    chain.set_challenger("1")
    assert roles() == {"champion": third, "challenger": first}
    MlflowClient().set_registered_model_alias(NAME, "champion", "1")  # not beside itself
    assert roles() == {"champion": first, "former champion": third}
    MlflowClient().delete_model_version(NAME, "3")
    assert roles() == {"champion": first, "former champion": second}


def test_without_a_champion_it_says_how_to_make_one(ring):
    assert "digits promote MODEL" in finding(UsageError, lambda: players(NAME, threads=2))


# `digits`, which writes down every address that it looks up or connects to.
WATCHED = """
import sys
from digits.cli import main

def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        print(event, arguments, file=sys.stderr, flush=True)

sys.addaudithook(watch)
sys.argv[0] = "digits"
main()
"""


@pytest.mark.slow
def test_command_shows_the_registrys_models_and_asks_nobody_else(project, digits_8x8, opened):
    prepare(digits_8x8)
    store.connect()
    promotion.promote(fighter(), NAME, judge=accept)
    registry = Registry(NAME)
    registry.set_challenger(registry.register(fighter()))
    environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}
    command = [sys.executable, "-c", WATCHED, "demo", "--port", "0"]
    with Path("said").open("w") as said:
        demo = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=said, text=True
        )
    try:
        page = opened(demo.stdout.readline().split()[0])
        draw(page, (0.5, 0.15), (0.5, 0.85))
        page.locator("#challenger .predicted").wait_for()
        assert "models:/digits/1" in page.locator("#champion").inner_text()
        assert "models:/digits/2" in page.locator("#challenger").inner_text()
        assert Path("said").read_text() == ""
    finally:
        demo.terminate()
        demo.communicate(timeout=60)
