"""MLflow's own page, in a browser, as `make ui` opens it and as it compares runs."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import free_port, until
from support import REPOSITORY

from imageproof.artifacts import Artifacts

pytestmark = pytest.mark.slow

PATIENCE = 120  # seconds, for a loaded machine


@pytest.fixture(scope="module")
def store(tmp_path_factory, trained_project):
    """A folder whose MLflow store holds a run."""
    return shutil.copytree(trained_project, tmp_path_factory.mktemp("page") / "Ödön's models")


@pytest.fixture(scope="module")
def ui(store):
    """The address that `make ui` opens in that folder, in a browser that notes it.

    Ctrl-C ends it quietly.
    """
    browser = store / "browser"
    opened = store / "opened"
    port = free_port()
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


def test_first_page_compares_the_models(page, ui):
    page.goto(ui)
    cards = page.get_by_test_id("experiment-view-compare-runs-card")
    curves = [f"val_{metric} vs {metric}" for metric in ("accuracy", "loss")]
    for title in ("test_error_percent", "elapsed_s", *curves):
        cards.filter(has=page.get_by_text(title, exact=True)).wait_for()


def test_report_s_link_leads_to_the_run(page, ui, store):
    run_id = Artifacts(store).trained("mlp").read_run().run_id
    page.goto((store / f"artifacts/runs/{run_id}.html").as_uri())
    page.get_by_text(run_id, exact=True).first.wait_for()
    assert page.url.startswith(ui.partition("/#")[0])
