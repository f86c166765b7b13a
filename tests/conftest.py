"""What the project's tests share beside the library's plugin: a small project with real images."""

import os
import shutil
from contextlib import chdir

import pytest
import support
from shared import made_once
from support import NAME, write_project

from digits import models
from imageproof.base._naming import VARIABLE

os.environ.pop("DIGITS_DEBUG", None)

# Tests of several files that share a Prefect server: one process runs them, and starts it once.
FLOWS = ("branch", "registry", "score", "sweep", "train", "worker")
TOGETHER = tuple(f"tests/flows/test_flows_{name}.py" for name in FLOWS)
# What costs most goes first: at the end no process has one left while the others are done.
ROOMS = (
    *("docs/", "test_new.py", "pipeline/test_stage_command.py", "flows/"),
    *("labels/test_label_studio.py", "training/", "tracking/"),
)
LONGEST = (*TOGETHER, *(f"tests/{room}" for room in ROOMS))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """A test of the project has the name of the project's folder, wherever it works."""
    os.environ[VARIABLE] = NAME


def pytest_collection_modifyitems(items):
    """The longest first."""
    items.sort(key=lambda item: [not item.nodeid.startswith(begin) for begin in LONGEST])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Each file goes to one process, and what shares a server, too."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid):
            return "prefect" if nodeid.startswith(TOGETHER) else str(super()._split_scope(nodeid))

    return Scheduling(config, log)


@pytest.fixture(scope="session")
def settings():
    """What the fixtures of `shared` make projects of; elsewhere another, so they are of a test."""
    return support


@pytest.fixture
def project(tracked, images_8x8):
    """A tracked folder with small models in params.yaml and the 8×8 images already split."""
    write_project(images_8x8)
    return tracked


@pytest.fixture
def add_models(tmp_path, monkeypatch):
    """Puts files of models, text by name, among those of the project until the end of the test."""

    def add(texts):
        folder = tmp_path / "models"
        folder.mkdir()
        for name, text in texts.items():
            (folder / f"{name}.py").write_text(text, "utf-8")
        monkeypatch.setattr(models, "__path__", [*models.__path__, str(folder)])

    return add


@pytest.fixture(scope="session")
def trained_project(all_processes, migrated, images_8x8, request):
    """A project whose `mlp` was trained and evaluated by the stages. To be read only."""

    def make(folder):
        import mlflow

        from digits.stages import evaluate, train

        request.getfixturevalue("tensorflow")
        folder.mkdir()
        shutil.copy(migrated, folder / "mlflow.db")
        with chdir(folder):
            write_project(images_8x8)
            train.main("mlp")
            evaluate.main("mlp")
        mlflow.set_tracking_uri("")

    return made_once(all_processes / "trained", make)
