"""MLflow's own page, in a browser, as `make ui` opens it and as it compares runs."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import free_port, until
from playwright.sync_api import expect
from support import PARAMS, REPOSITORY, train_project

from imageproof.artifacts import Artifacts
from imageproof.base.files import read_json
from imageproof.pages._colours import colour_of

pytestmark = pytest.mark.slow

MODELS = ("mlp", "cnn")
PATIENCE = 120  # seconds, for a loaded machine


@pytest.fixture(scope="module")
def store(
    tmp_path_factory,
    migrated,
    images_8x8,
    tensorflow,
):
    """A folder whose MLflow store holds a run of each model."""
    folder = tmp_path_factory.mktemp("Ödön's models")
    shutil.copy(migrated, folder / "mlflow.db")
    train_project(folder, images_8x8, *MODELS)
    return folder


@pytest.fixture(scope="module")
def ui(store):
    """The address that `make ui` opens in that folder, in a browser that notes it.

    Ctrl-C ends it quietly.
    """
    browser, opened, port = store / "browser", store / "opened", free_port()
    browser.write_text(f'#!/bin/sh\necho "$1" >"{opened}.new" && mv "{opened}.new" "{opened}"\n')
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
        yield address
    os.killpg(process.pid, signal.SIGINT)
    printed = process.communicate(timeout=PATIENCE)[0]
    assert opened.exists(), printed
    assert printed == f"{address}   Ctrl-C ends it\n"


@pytest.fixture
def page(browser):
    """A page in the window of a small screen."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(1000 * PATIENCE)
    return page


def card(page, title):
    """The chart with this title, which is in view as a whole."""
    cards = page.get_by_test_id("experiment-view-compare-runs-card")
    chart = cards.filter(has=page.get_by_text(title, exact=True))
    chart.wait_for()
    return chart


def figures(chart):
    """The figures at its bars, in order of size."""
    chart.locator("text.bartext").nth(len(MODELS) - 1).wait_for()
    return sorted(chart.locator("text.bartext").all_text_contents(), key=float)


def colours(chart):
    bars = chart.locator(".barlayer .point path")
    return {*bars.evaluate_all("all => all.map(bar => getComputedStyle(bar).fill)")}


def curves(chart):
    lines = chart.locator(".scatterlayer .trace path.js-line")
    paths = lines.evaluate_all("all => all.map(line => line.getAttribute('d'))")
    return {path for path in paths if "L" in path}


def rgb(colour):
    return "rgb({}, {}, {})".format(*bytes.fromhex(colour[1:]))


def test_first_page_compares_the_models(page, ui, store):
    page.goto(ui)
    errors, seconds = card(page, "test_error_percent"), card(page, "elapsed_s")
    files = Artifacts(store)
    accuracies = [files.evaluated(m).read_metrics()["test"]["accuracy"] for m in MODELS]
    expected = sorted(100 * (1 - accuracy) for accuracy in accuracies)
    assert figures(errors) == [f"{value:.2f}" for value in expected]
    expected = sorted(files.trained(m).read_metrics()["elapsed_s"] for m in MODELS)
    assert figures(seconds) == [f"{value:.2f}" for value in expected]
    own = {rgb(colour_of(model, PARAMS["models"])) for model in MODELS}
    for chart in (errors, seconds):
        assert until(lambda c=chart: colours(c) == own, seconds=PATIENCE)
    for metric in ("accuracy", "loss"):
        chart = card(page, f"val_{metric} vs {metric}")
        assert until(lambda c=chart: len(curves(c)) == 2 * len(MODELS), seconds=PATIENCE)


def test_reports_links_lead_to_the_run(page, ui, store):
    run_id = read_json(store / "artifacts/train/cnn/run.json", dict)["run_id"]
    page.goto((store / f"artifacts/runs/{run_id}.html").as_uri())
    page.get_by_text(run_id, exact=True).first.wait_for()
    server = ui.partition("/#")[0]
    assert page.url.startswith(server)
    # as RunRecord.page names a run on a server
    hits = f"#/experiments/1/runs?searchFilter=tags.`digits.training` = '{run_id}'"
    page.goto(f"{server}/{hits}&workflowType=machine_learning")
    page.get_by_role("link", name="cnn", exact=True).first.wait_for()
    expect(page.get_by_role("link", name="mlp", exact=True)).to_have_count(0)
