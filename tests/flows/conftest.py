"""A small DVC project with quick stages, and a real Prefect server for the whole session."""

import shutil

import pytest
import support
from deployed import PREFECT
from services import running
from shared import template
from small_project import Project, run
from support import REPOSITORY


@pytest.fixture
def project(dvc_project):
    """A copy of the small DVC project, which is the current folder."""
    return dvc_project


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory):
    """The address of a Prefect server with an empty database; flows of this process use it."""
    from prefect.settings import get_current_settings
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=180):
        yield str(get_current_settings().api.url)


@pytest.fixture(scope="session")
def deployment(all_processes, tmp_path_factory, prefect_server):
    """The small project, deployed, with a worker."""
    folder = tmp_path_factory.mktemp("deployed")
    root = folder / "project"
    control = folder / "control"
    shutil.copytree(template(all_processes, support), root)
    control.mkdir()
    for name in ("prefect.yaml", "prefect.toml"):
        shutil.copy(REPOSITORY / name, root / name)
    shutil.copytree(REPOSITORY / "flows", root / "flows")
    project = Project(root, control)
    project.git("add", ".")
    project.git("commit", "-qm", "flows")
    env = {"CONTROL": str(control), "PREFECT_API_URL": prefect_server}
    env |= {"PREFECT_HOME": str(folder / "prefect"), "PREFECT_WORKER_QUERY_SECONDS": "1"}
    run(*PREFECT, "work-pool", "create", "digits", "--type", "process", cwd=root, env=env)
    run(*PREFECT, "deploy", "--all", cwd=root, env=env)
    with running(*PREFECT, "worker", "start", "--pool", "digits", cwd=root, env=env) as worker:
        yield project, worker


@pytest.fixture
def deployed(deployment, monkeypatch):
    """The deployed project, with a worker and no slow stage; it is the current folder."""
    project, _worker = deployment
    monkeypatch.chdir(project.root)
    monkeypatch.setenv("CONTROL", str(project.control))
    (project.control / "log").unlink(missing_ok=True)
    project.works()
    return project
