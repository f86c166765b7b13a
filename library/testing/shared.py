"""What tests of the library and of its projects share: a plugin of pytest."""

import gc
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import chdir, closing
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from helpers import mlflow_serves
from sklearn.datasets import load_digits
from small_project import Project, create

from imageproof.base._dataset import Dataset
from imageproof.base._naming import project_name
from imageproof.system import _process

# What the surroundings of the tests set must not decide what they find.
DECIDING = "DVC_EXP_NAME DVC_ROOT MLFLOW_RUN_ID MLFLOW_TRACKING_URI PREFECT_API_URL"
for name in DECIDING.split():
    os.environ.pop(name, None)
_process.set_environment()
STARTUP = str(Path(__file__).with_name("startup"))
paths = [os.environ.get("PYTHONPATH"), STARTUP]
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
gc.disable()  # until all is imported: nothing of it is garbage

FORGIVEN = (
    # Optuna, MLflow and DVC leave connections to SQLite to the collector; Python 3.13 says so
    "ignore:unclosed database:ResourceWarning",
    # DVC in pygtrie
    "ignore:_NoneStep.value will soon:DeprecationWarning",
    # Great Expectations
    "ignore:module 'sre_:DeprecationWarning",
    # Keras 3.15 does not know NumPy 2's copy keyword
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning",
    # MLflow 3.17 on pandas 3
    "ignore:For backward compatibility, 'str' dtypes are included:DeprecationWarning",
    # MLflow 3.17, while it reads its own type hints
    "ignore:.*Any type hint is inferred as AnyType:UserWarning",
    # MLflow 3.17 on SQLAlchemy 2.1
    "ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning",
    # MLflow 3.17's server on Starlette 1, which `get_app_client` imports
    "ignore:starlette.middleware.wsgi is deprecated",
    # Optuna leaves its connections to the garbage collector
    "ignore:<psycopg.Connection object .* was deleted while still open:ResourceWarning",
)


def pytest_collection_finish():
    """All is imported."""
    gc.freeze()
    gc.enable()


def pytest_configure(config):
    """A warning is an error, but for those of other people's code that nothing here can mend."""
    for warning in ("error", *FORGIVEN):
        config.addinivalue_line("filterwarnings", warning)


@pytest.fixture(scope="session")
def images_8x8():
    """1,797 real 8×8 images, grey values 0…16."""
    images, labels = load_digits(return_X_y=True)
    return Dataset(images.reshape(-1, 8, 8).astype(np.uint8), labels.astype(np.int64))


@pytest.fixture(scope="session")
def tensorflow():
    """TensorFlow as the stages import it: with two threads and no noise."""
    with _process.quiet_tensorflow(2):
        import keras  # noqa: F401


@pytest.fixture(scope="session")
def all_processes(tmp_path_factory):
    """The folder that all test processes share."""
    place = tmp_path_factory.getbasetemp()
    return place.parent if "PYTEST_XDIST_WORKER" in os.environ else place


def made_once(folder, make):
    """A folder that the first process that needs it makes for all; to be read only."""
    done = folder.with_suffix(".done")
    with FileLock(folder.with_suffix(".lock")):
        if not done.exists():
            make(folder)
            done.touch()
    return folder


@pytest.fixture(scope="session")
def migrated(all_processes):
    """An MLflow database with all its tables: making them takes seconds, copying them does not."""

    def make(folder):
        import mlflow

        folder.mkdir()
        mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db").search_experiments()

    return made_once(all_processes / "migrated", make) / "mlflow.db"


@pytest.fixture(scope="module")
def mlflow_server(tmp_path_factory, migrated):
    """The address of a server on a SQLite store that holds no run."""
    folder = tmp_path_factory.mktemp("served")
    shutil.copy(migrated, folder / "mlflow.db")
    with mlflow_serves(folder) as address:
        yield address


@pytest.fixture(scope="module")  # while it is there, the process can run no event loop
def browser():
    """Headless Chromium."""
    from playwright.sync_api import sync_playwright

    installed = filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
    chromium = next(installed, None)
    if chromium is None:
        pytest.skip("no Chromium here: apt-get install chromium, or put it on the PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def disk(tmp_path):
    """A file system of 64 KB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a file system of 64 KB cannot be mounted here: that needs root")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)  # a thread may still write


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """An empty current folder; what a test changes in MLflow's global state is undone."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    if "mlflow" in sys.modules:
        import mlflow

        from imageproof.mlflow import _store

        while mlflow.active_run():
            mlflow.end_run()
        mlflow.set_tracking_uri("")
        _store._parent = None


@pytest.fixture
def tracked(workspace, migrated, settings):
    """A current folder with params.yaml and an MLflow store that holds no run."""
    settings.write_params({})
    shutil.copy(migrated, workspace / "mlflow.db")
    return workspace


@pytest.fixture
def prepared(all_processes, images_8x8, settings):
    """The files of such a project, with hold-out rows to judge the models of `arena` by."""
    import arena

    def make(folder):
        folder.mkdir()
        with chdir(folder):
            settings.write_project(images_8x8)
            arena.prepare(images_8x8)

    return made_once(all_processes / f"prepared-{settings.__name__}", make)


@pytest.fixture
def ring(tracked, prepared):
    """A tracked folder with these files."""
    from imageproof.mlflow import _store

    shutil.copytree(prepared, tracked, dirs_exist_ok=True)
    _store.connect(project_name())
    return tracked


# where MLflow keeps whole paths
ARTIFACTS = {
    "experiments": ("artifact_location",),
    "runs": ("artifact_uri",),
    "logged_models": ("artifact_location",),
    "model_versions": ("source", "storage_location"),
}


@pytest.fixture
def chain(tracked, prepared, all_processes, settings):
    """The registry after three promotions, which are made once."""
    import arena

    from imageproof.registry._versions import Registry

    def make(folder):
        shutil.copytree(prepared, folder)
        shutil.copy(tracked / "mlflow.db", folder)
        with chdir(folder):
            arena.enter(folder)
            for _ in range(3):
                arena.promote(arena.fighter(), arena.accept)

    finished = made_once(all_processes / f"chain-{settings.__name__}", make)
    shutil.copytree(finished, tracked, dirs_exist_ok=True)
    with closing(sqlite3.connect("mlflow.db")) as store, store:
        for table, columns in ARTIFACTS.items():
            for column in columns:
                change = f"UPDATE {table} SET {column} = replace({column}, ?, ?)"
                store.execute(change, (str(finished), str(tracked)))
    arena.enter(tracked)
    return Registry(project_name())


def template(all_processes, settings):
    """The small DVC project as committed, made once."""

    def make(folder):
        create(folder, settings.PARAMS_YAML)

    return made_once(all_processes / f"small-{settings.__name__}", make)


@pytest.fixture
def dvc_project(all_processes, settings, tmp_path, monkeypatch):
    """A copy of the small DVC project, which is the current folder."""
    shutil.copytree(template(all_processes, settings), tmp_path / "project")
    (tmp_path / "control").mkdir()
    return _entered(tmp_path, monkeypatch)


@pytest.fixture
def team(all_processes, settings, tmp_path, monkeypatch):
    """The small DVC project with results that no commit has, DVC's remote, and git's `origin`."""

    def make(folder):
        control = folder / "control"
        control.mkdir(parents=True)
        root = shutil.copytree(template(all_processes, settings), folder / "project")
        project = Project(root, control)
        project.dvc("remote", "add", "-q", "-d", "team", "../control/remote")
        project.git("commit", "-qam", "a remote")
        project.dvc("push", "-q")
        project.dvc("repro", "-q")
        project.git("clone", "-q", "--bare", ".", "../control/origin.git")
        project.git("remote", "add", "origin", "../control/origin.git")

    finished = made_once(all_processes / f"team-{settings.__name__}", make)
    return _entered(shutil.copytree(finished, tmp_path / "team"), monkeypatch)


def _entered(folder, monkeypatch):
    project = Project(folder / "project", folder / "control")
    monkeypatch.chdir(project.root)
    monkeypatch.setenv("CONTROL", str(project.control))
    return project
