"""MLflow's own page, in a browser, as `make ui` opens it and as it compares runs."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from helpers import free_port, until
from playwright.sync_api import Browser, Locator, Page, expect
from support import PARAMS, REPOSITORY, train_project

from imageproof.base.dataset import Dataset
from imageproof.base.files import read_json
from imageproof.pages.colours import colour_of

pytestmark = pytest.mark.slow

MODELS = ("mlp", "cnn")
# what a person chose who was here before: models instead of agents
SETTINGS = {"mlflow.workflowType_v1": json.dumps("machine_learning")}
PATIENCE = 120  # seconds, for a loaded machine


@pytest.fixture(scope="module")
def store(
    tmp_path_factory: pytest.TempPathFactory,
    migrated: Path,
    images_8x8: Dataset,
    tensorflow: None,
) -> Path:
    """A folder whose MLflow store holds a run of each model."""
    folder = tmp_path_factory.mktemp("models")
    shutil.copy(migrated, folder / "mlflow.db")
    train_project(folder, images_8x8, *MODELS)
    return folder


class Ui(NamedTuple):
    """`make ui`: the address that it opened, and that of its server."""

    opened: str
    server: str


@pytest.fixture(scope="module")
def ui(store: Path) -> Iterator[Ui]:
    """`make ui` in that folder, with a browser that notes the address; Ctrl-C ends it quietly."""
    browser, opened, port = store / "browser", store / "opened", free_port()
    browser.write_text(f'#!/bin/sh\necho "$1" >{opened}.new && mv {opened}.new {opened}\n')
    browser.chmod(0o755)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    # below `make test`, make would say in which folder it is
    env = {"MAKELEVEL": "0", "MAKEFLAGS": "", "PATH": path, "BROWSER": str(browser)}
    process = subprocess.Popen(
        ["make", "-f", REPOSITORY / "Makefile", "-o", ".venv/.done", "ui", f"MLFLOW_PORT={port}"],
        cwd=store,
        env=os.environ | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    came = until(lambda: opened.exists() or process.poll() is not None, seconds=PATIENCE)
    if came and process.poll() is None:
        address = opened.read_text().strip()
        yield Ui(address, address.partition("/#")[0])
    os.killpg(process.pid, signal.SIGINT)
    printed = process.communicate(timeout=PATIENCE)[0]
    assert opened.exists(), printed
    assert printed == f"{address}   Ctrl-C ends it\n"


@pytest.fixture
def page(browser: Browser, ui: Ui) -> Page:
    """The compare page, as a person reaches it: all runs selected, then *Compare*."""
    context = browser.new_context(viewport={"width": 2100, "height": 1000})
    context.set_default_timeout(1000 * PATIENCE)
    for name, value in SETTINGS.items():
        context.add_init_script(f"localStorage.setItem({json.dumps(name)}, {json.dumps(value)})")
    page = context.new_page()
    page.goto(f"{ui.server}/#/experiments/1/runs")
    for model in MODELS:
        page.get_by_role("link", name=model, exact=True).first.wait_for()
    page.get_by_label("Select all runs").click()
    page.get_by_role("button", name="Compare", exact=True).click()
    page.get_by_text("Comparing 2 Runs from 1 Experiment").wait_for()
    return page


@pytest.fixture
def first_page(browser: Browser, ui: Ui) -> Page:
    """What `make ui` opens, in a window of a small screen."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(1000 * PATIENCE)
    page.goto(ui.opened)
    return page


def card(page: Page, title: str) -> Locator:
    """The chart with this title, which is in view as a whole."""
    found = page.get_by_test_id("experiment-view-compare-runs-card")
    one = found.filter(has=page.get_by_text(title, exact=True))
    one.wait_for()
    return one


def written(store: Path, file: str, *keys: str) -> list[float]:
    """A figure of each model in what the stages wrote, in order of size."""
    figures = []
    for model in MODELS:
        value = read_json(store / "artifacts" / file.format(model), dict)
        for key in keys:
            value = value[key]
        figures.append(value)
    return sorted(figures)


class TestTheFirstPage:
    """What a person sees without a click."""

    def figures(self, chart: Locator) -> list[str]:
        chart.locator("text.bartext").nth(len(MODELS) - 1).wait_for()
        return sorted(chart.locator("text.bartext").all_text_contents(), key=float)

    def test_shows_errors_and_time_of_each_model(self, first_page: Page, store: Path) -> None:
        accuracies = written(store, "evaluate/{}/metrics.json", "test", "accuracy")
        shown = self.figures(card(first_page, "test_error_percent"))
        assert shown == [f"{100 * (1 - accuracy):.2f}" for accuracy in reversed(accuracies)]
        seconds = written(store, "train/{}/metrics.json", "elapsed_s")
        assert self.figures(card(first_page, "elapsed_s")) == [f"{one:.2f}" for one in seconds]

    def test_draws_each_model_in_its_colour(self, first_page: Page) -> None:
        def colours(chart: Locator) -> set[str]:
            return set(
                chart.locator(".barlayer .point path").evaluate_all(
                    "all => all.map(bar => getComputedStyle(bar).fill)"
                )
            )

        def rgb(colour: str) -> str:
            return "rgb({}, {}, {})".format(*bytes.fromhex(colour[1:]))

        expected = {rgb(colour_of(model, PARAMS["models"])) for model in MODELS}
        for metric in ("test_error_percent", "elapsed_s"):
            chart = card(first_page, metric)
            assert until(lambda c=chart: colours(c) == expected, seconds=PATIENCE)

    def test_shows_both_curves_of_each_model(self, first_page: Page) -> None:
        def drawn(chart: Locator) -> set[str]:
            lines = chart.locator(".scatterlayer .trace path.js-line")
            found = lines.evaluate_all("all => all.map(line => line.getAttribute('d'))")
            return {line for line in found if "L" in line}

        for metric in ("accuracy", "loss"):
            chart = card(first_page, f"val_{metric} vs {metric}")
            assert until(lambda c=chart: len(drawn(c)) == 2 * len(MODELS), seconds=PATIENCE)


def test_reports_links_lead_to_the_run(browser: Browser, ui: Ui, store: Path) -> None:
    record = read_json(store / "artifacts/train/cnn/run.json", dict)
    page = browser.new_page()
    page.set_default_timeout(1000 * PATIENCE)
    page.goto((store / f"artifacts/runs/{record['run_id']}.html").as_uri())
    page.get_by_text(record["run_id"], exact=True).first.wait_for()
    assert page.url.startswith(ui.opened.partition("/#")[0])
    # as RunRecord.page names a run on a server
    found = f"#/experiments/1/runs?searchFilter=tags.`digits.training` = '{record['run_id']}'"
    page.goto(f"{ui.server}/{found}&workflowType=machine_learning")
    page.get_by_role("link", name="cnn", exact=True).first.wait_for()
    expect(page.get_by_role("link", name="mlp", exact=True)).to_have_count(0)


def test_confusion_matrices_stand_side_by_side(page: Page) -> None:
    name = "test_confusion_matrix.png"
    page.get_by_text(name, exact=True).first.click()
    matrices = page.get_by_role("img", name=name)
    expect(matrices).to_have_count(len(MODELS), timeout=1000 * PATIENCE)
    for matrix in matrices.all():
        matrix.scroll_into_view_if_needed()
        assert matrix.evaluate("image => image.decode().then(() => image.naturalWidth)") > 800
    boxes = [box for matrix in matrices.all() if (box := matrix.bounding_box())]
    assert len({box["y"] for box in boxes}) == 1
    pictures = {matrix.get_attribute("src") for matrix in matrices.all()}
    assert len(pictures) == len(MODELS)
