"""The page on which one draws, in a real browser, without a network."""

import json
import os
import struct
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from zlib import crc32

import arena
import numpy as np
import pytest
from intruder import attack, foreign, statuses
from support import finding, served

from digits.core.errors import BusyError
from digits.core.guard import listen
from digits.scoring.demo import Player, demo_app


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
    elsewhere, errors = [], []
    context = browser.new_context()

    def open_page(address):
        def guard(route):
            own = route.request.url.startswith(f"{address}/")
            return route.continue_() if own else elsewhere.append(route.request.url)

        context.route("**/*", guard)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        return page

    yield open_page
    context.close()
    assert (elsewhere, errors) == ([], [])


@pytest.fixture
def page(opened, address):
    return opened(address)


def draw(page, *points):
    """One stroke of the mouse through points, as shares of the canvas."""
    box = page.locator("canvas").bounding_box()
    places = [(box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=5)
    page.mouse.up()


def predicted(page, role):
    return page.locator(f"#{role} .predicted")


@pytest.mark.slow
def test_what_is_drawn_is_named_by_both_side_by_side(page):
    draw(page, (0.5, 0.15), (0.5, 0.85))
    predicted(page, "champion").wait_for()
    assert predicted(page, "champion").inner_text() == "1"
    assert page.locator("#champion .best").inner_text().split() == ["1", "100.0", "%"]
    assert page.locator("#challenger .class").count() == 10
    assert "models:/digits/3 mlp" in page.locator("#challenger").inner_text()
    assert "digit: cropped to the ink" in page.locator("#champion").inner_text()
    assert "plain: made grey" in page.locator("#challenger").inner_text()
    left, right = (page.locator(f"#{role}").bounding_box() for role in ("champion", "challenger"))
    assert left["x"] + left["width"] <= right["x"]
    assert abs(left["y"] - right["y"]) < 1


@pytest.mark.slow
def test_another_stroke_is_seen_and_clear_forgets_all(page):
    draw(page, (0.5, 0.15), (0.5, 0.85))
    predicted(page, "champion").wait_for()
    draw(page, (0.15, 0.5), (0.85, 0.5))
    page.locator("#champion .best", has_text="0").wait_for()
    page.get_by_role("button", name="Clear").click()
    assert page.locator("section").count() == 0
    draw(page, (0.5, 0.15), (0.5, 0.85))
    predicted(page, "champion").wait_for()
    assert predicted(page, "champion").inner_text() == "1"


def png(width, height):
    """A PNG of this size without its pixels, which is all that a bomb needs to be."""
    chunks = [b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0), b"IDAT"]
    lengths = [struct.pack(">I", len(chunk) - 4) for chunk in chunks]
    sums = [struct.pack(">I", crc32(chunk)) for chunk in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(sum(zip(lengths, chunks, sums, strict=True), ()))


def drawing(content):
    return json.dumps({"drawing": f"data:image/png;base64,{b64encode(content).decode()}"})


LARGE = "at most 280×280 pixels are allowed"


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (drawing(b"no"), 422, "no PNG"),
        ('{"drawing": "é"}', 422, "no PNG"),
        ('{"drawing": ""}', 422, "no PNG"),
        (drawing(png(281, 1)), 422, LARGE),
        (drawing(png(10_000, 10_000)), 422, LARGE),
        (drawing(png(60_000, 60_000)), 422, LARGE),
        ("[" * 100_000, 422, "no drawing; "),
        ('{"drawing": 1}', 422, "no drawing; "),
        ("", 422, "no drawing; "),
        ("x" * 1_000_001, 413, "more than the 1,000,000 bytes that are allowed"),
        ((b"x" * 100_000 for _ in range(3_000)), 413, "more than the 1,000,000 bytes"),
    ],
)
def test_what_is_no_drawing_is_refused_with_a_word(address, body, status, says):
    import requests

    body = body.encode() if isinstance(body, str) else body
    response = requests.post(f"{address}/predict", data=body, timeout=20)
    assert response.status_code == status
    assert response.json()["detail"].startswith(says)


def test_no_other_page_is_answered(address, browser):
    port, routes = int(address.rpartition(":")[2]), [("GET", "/"), ("POST", "/predict")]
    for headers in foreign(port):
        assert statuses(port, routes, **headers) == {403: routes}
    assert attack(browser, port, [["/predict", drawing(b"no")]], [["/", ""]]) == set()


def test_a_port_that_is_taken_is_a_line():
    with listen(0) as taken:
        port = taken.getsockname()[1]
        assert f"127.0.0.1:{port}: " in finding(BusyError, lambda: listen(port))


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


@pytest.fixture
def demo(project, digits_8x8):
    """`digits demo` with a champion and a challenger, as one starts it, and what it writes."""
    from digits.registry import promotion
    from digits.registry.versions import Registry
    from digits.tracking import store

    arena.prepare(digits_8x8)
    store.connect()
    promotion.promote(arena.fighter(), arena.NAME, judge=arena.accept)
    registry = Registry(arena.NAME)
    registry.set_challenger(registry.register(arena.fighter()))
    environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}
    with Path("said").open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-c", WATCHED, "demo", "--port", "0"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        )
    yield process
    process.terminate()
    process.communicate(timeout=60)


@pytest.mark.slow
def test_the_command_shows_the_registrys_models_and_asks_nobody_else(demo, opened):
    address = demo.stdout.readline().split()[0]
    page = opened(address)
    draw(page, (0.5, 0.15), (0.5, 0.85))
    predicted(page, "challenger").wait_for()
    assert "models:/digits/1" in page.locator("#champion").inner_text()
    assert "models:/digits/2" in page.locator("#challenger").inner_text()
    assert Path("said").read_text() == ""
