"""A small DVC project with quick stages, and a real Prefect server for the whole session."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from deployed import Worker
from small_project import Project, run


def pytest_configure(config: pytest.Config) -> None:
    """Warnings that DVC and Prefect cause in libraries of theirs, which are not ours to mend."""
    for ignored in (
        "ignore:_NoneStep.value will soon raise:DeprecationWarning:",  # dvc in pygtrie
    ):
        config.addinivalue_line("filterwarnings", ignored)


@pytest.fixture
def project(dvc_project: Project) -> Project:
    """A copy of the small DVC project, which is the current folder."""
    return dvc_project


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Prefect server with an empty database; flows of this process use it."""
    from prefect.settings import get_current_settings
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=180):
        yield str(get_current_settings().api.url)


@pytest.fixture(scope="session")
def deployment(
    template: Path, tmp_path_factory: pytest.TempPathFactory, prefect_server: str, migrated: Path
) -> Iterator[tuple[Project, Worker]]:
    """The small project, up to date, with its deployments registered and a worker."""
    folder = tmp_path_factory.mktemp("deployed")
    root, control = folder / "project", folder / "control"
    shutil.copytree(template, root)
    shutil.copy(migrated, root / "mlflow.db")
    run("git", "remote", "add", "origin", "https://me:hunter2@git.example/me.git", cwd=root)
    control.mkdir()
    env = {
        "CONTROL": str(control),
        "PREFECT_API_URL": prefect_server,
        "PREFECT_HOME": str(folder / "prefect"),
    }
    run(sys.executable, "-m", "flows.deploy", cwd=root, env=env)
    project, worker = Project(root, control), Worker(root, env)
    project.dvc("repro", "-q")
    worker.ensure()
    yield project, worker
    worker.stop()


@pytest.fixture
def deployed(deployment: tuple[Project, Worker]) -> Project:
    """The deployed project, with a worker and no slow stage."""
    project, worker = deployment
    project.works()
    worker.ensure()
    return project
