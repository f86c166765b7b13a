"""Where a server of the tracking store shows the runs."""

import sys
from contextlib import suppress
from pathlib import Path

from imageproof.artifacts import WORKSPACE
from imageproof.base.errors import ImageproofError
from imageproof.base.files import write_text
from imageproof.project import Project
from imageproof.system.guard import page_name


def address(project: Project, port: int) -> str:
    """The address of the project's view; creates the store if there is none.

    Also writes the pages in `artifacts/runs`: the report links to them, they redirect to MLflow.
    """
    from imageproof.mlflow import _page, _store, restore  # MLflow reads our variables then

    # not every macOS knows names below .localhost
    name = page_name() if sys.platform != "darwin" else "127.0.0.1"
    experiments = f"http://{name}:{port}/#/experiments"
    view = f"{experiments}/{_store.connect(project.name)}/runs?{_page.query()}"
    for path in Path().glob("artifacts/train/*/run.json"):
        with suppress(ImageproofError):  # damaged: the command `results` says so
            outputs = WORKSPACE.trained(path.parent.name)
            if run := restore.find_run(outputs, project):
                link = f"{experiments}/{run.info.experiment_id}/runs/{run.info.run_id}"
                html = f'<meta http-equiv="refresh" content="0; url={link}">\n'
                write_text(WORKSPACE.runs / f"{outputs.read_run().run_id}.html", html)
    return view
