"""MLflow's own page, in a browser: two runs side by side."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from support import train_project, until

from digits.core.dataset import Dataset
from digits.core.files import read_json
from digits.params import Params

pytestmark = pytest.mark.slow

MODELS = ("mlp", "cnn")
# what a person chose who was here before: models instead of agents, and no assistant
SETTINGS = {
    "mlflow.workflowType_v1": json.dumps("machine_learning"),
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
}
PATIENCE = 120  # seconds, for a loaded machine


@pytest.fixture(scope="module")
def store(
    tmp_path_factory: pytest.TempPathFactory,
    migrated: Path,
    digits_8x8: Dataset,
    small_params: Params,
    tensorflow: None,
) -> Path:
    """A folder whose MLflow store holds a run of each model."""
    folder = tmp_path_factory.mktemp("two models")
    shutil.copy(migrated, folder / "mlflow.db")
    train_project(folder, digits_8x8, small_params, *MODELS)
    return folder


@pytest.fixture(scope="module")
def server(store: Path) -> Iterator[str]:
    """The address of `mlflow ui`, started as the Makefile does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address, log = f"http://127.0.0.1:{port}", store / "server.log"
    command = [sys.executable, "-m", "mlflow", "ui", "--app-name", "digits"]
    command += ["--workers", "1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{store}/mlflow.db"]
    command += ["--default-artifact-root", (store / "mlartifacts").as_uri()]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=store, stdout=output, stderr=output, start_new_session=True
        )
    try:
        assert until(lambda: answers(address), seconds=PATIENCE), log.read_text()
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(PATIENCE)


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture
def page(browser: Browser, server: str) -> Page:
    """The compare page, as a person reaches it: both runs selected, then *Compare*."""
    context = browser.new_context(viewport={"width": 1500, "height": 1000})
    context.set_default_timeout(1000 * PATIENCE)
    for name, value in SETTINGS.items():
        context.add_init_script(f"localStorage.setItem({json.dumps(name)}, {json.dumps(value)})")
    page = context.new_page()
    page.goto(f"{server}/#/experiments/1/runs")
    for model in MODELS:
        page.get_by_role("link", name=model, exact=True).wait_for()
    page.get_by_label("Select all runs").click()
    page.get_by_role("button", name="Compare", exact=True).click()
    page.get_by_text("Comparing 2 Runs from 1 Experiment").wait_for()
    return page


def params_shown(page: Page, name: str) -> list[str]:
    """The values of one param, one per run."""
    return page.locator(f"main tr:has(td, th):has-text('{name}')").first.inner_text().split()[1:]


def metrics_shown(page: Page) -> dict[str, list[float]]:
    """The metrics in view, one value per run; names and values are two grids of one table."""
    names, values = page.get_by_role("grid").first, page.get_by_role("grid").last
    names.get_by_role("link").first.wait_for()
    figures = list(map(float, values.inner_text().split()))
    headings = names.get_by_role("link").all_inner_texts()
    return {name: figures[2 * row : 2 * row + 2] for row, name in enumerate(headings)}


def test_params_and_metrics_of_both_runs_stand_side_by_side(page: Page, store: Path) -> None:
    models = params_shown(page, "model")
    assert sorted(models) == sorted(MODELS)
    assert params_shown(page, "fit.epochs") == ["2", "2"]
    behaviour = [
        read_json(store / f"artifacts/evaluate/{one}/behaviour.json", dict) for one in models
    ]
    expected = [accuracies["clean"] for accuracies in behaviour]
    assert metrics_shown(page)["behaviour_clean"] == pytest.approx(expected, abs=0.0006)


@pytest.mark.parametrize("split", ["test", "holdout"])
def test_the_confusion_matrices_of_both_runs_stand_side_by_side(page: Page, split: str) -> None:
    name = f"{split}_confusion_matrix.png"
    page.get_by_text(name, exact=True).first.click()
    matrices = page.get_by_role("img", name=name)
    expect(matrices).to_have_count(2, timeout=1000 * PATIENCE)
    for matrix in matrices.all():
        matrix.scroll_into_view_if_needed()
        assert matrix.evaluate("image => image.decode().then(() => image.naturalWidth)") > 800
    left, right = (matrix.bounding_box() for matrix in matrices.all())
    assert left is not None
    assert right is not None
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] <= right["x"]
    assert min(left["width"], right["width"]) > 500
    assert matrices.first.get_attribute("src") != matrices.last.get_attribute("src")


def test_the_curves_of_both_runs_lie_in_one_picture(page: Page) -> None:
    page.get_by_role("link", name="accuracy", exact=True).click()
    chart = page.get_by_test_id("experiment-view-compare-runs-card")
    for model in MODELS:
        chart.get_by_text(f"{model} (accuracy)").wait_for()
    lines = chart.locator(".scatterlayer .trace path.js-line")
    drawn = lines.evaluate_all("all => all.map(line => line.getAttribute('d'))")
    assert len({line for line in drawn if "L" in line}) == 2
