"""A small DVC project with quick stages, and a real Prefect server for the whole session."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from deployed import Worker
from small_project import STAGE, STAGES, Project, run

ROOT = Path(__file__).parents[2]


def pytest_configure(config: pytest.Config) -> None:
    """Warnings that DVC and Prefect cause in libraries of theirs, which are not ours to mend."""
    for ignored in (
        "ignore:_NoneStep.value will soon raise:DeprecationWarning:",  # dvc in pygtrie
    ):
        config.addinivalue_line("filterwarnings", ignored)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small project as committed, made once."""
    root = tmp_path_factory.mktemp("template") / "project"
    root.mkdir()
    shutil.copy(ROOT / "params.yaml", root)
    (root / "dvc.yaml").write_text(STAGES)
    (root / "stage.py").write_text(STAGE)
    (root / "raw.txt").write_text("raw")
    (root / "spaces").mkdir()
    (root / "spaces" / "mlp.yaml").write_text("fit.batch_size: [64, 128]\n")
    (root / "data").mkdir()
    (root / "data" / "digits.csv").write_text("1")
    (root / ".gitignore").write_text("/artifacts\n/.prefect\n/.state\n/mlflow.db*\n__pycache__/\n")
    run("git", "init", "-q", "-b", "main", cwd=root)
    for command in ("init", "config core.analytics false", "add data"):
        run(sys.executable, "-m", "dvc", *command.split(), "-q", cwd=root)
    for command in ("config user.name t", "config user.email t@example.org", "add ."):
        run("git", *command.split(), cwd=root)
    run("git", "commit", "-qm", "start", cwd=root)
    return root


@pytest.fixture
def project(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of the small project, which is the current folder."""
    root, control = tmp_path / "project", tmp_path / "control"
    shutil.copytree(template, root)
    control.mkdir()
    monkeypatch.chdir(root)
    monkeypatch.setenv("CONTROL", str(control))
    return Project(root, control)


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
