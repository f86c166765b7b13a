"""Log recorded trainings again, unless nothing has changed since the store was asked last.

To ask it, MLflow takes two seconds, which a run with nothing to do would wait.
"""

import os
from pathlib import Path

from imageproof.base.files import write_text
from imageproof.dvc.provenance import ARTIFACTS, OUTPUTS
from imageproof.project import Project
from imageproof.system._process import project_root

ASKED = Path(".state/restored")  # what was there when the store was asked last


def restore_changed(project: Project) -> None:
    """As `restore.restore_all`; a store other than mlflow.db is asked each time."""
    state = _state(project)
    if state and ASKED.is_file() and ASKED.read_text("utf-8") == state:
        return
    from imageproof.mlflow.restore import restore_all

    if restore_all(project):  # else what is left out is said each time
        ASKED.parent.mkdir(exist_ok=True)
        # the state before: if this call logged something, the next one asks again
        write_text(ASKED, state)


def _state(project: Project) -> str:
    database = project_root() / "mlflow.db"
    if os.environ.get("MLFLOW_TRACKING_URI") or not database.is_file():
        return ""
    paths = [database, Path(f"{database}-wal"), OUTPUTS]
    lines = [project.name, *project.models]
    for path in (*paths, *sorted(ARTIFACTS.glob("*/*/*"))):  # of trainings and evaluations
        if path.is_file():
            stat = path.stat()
            lines.append(f"{path} {stat.st_ino} {stat.st_size} {stat.st_mtime_ns}")
    return "\n".join(lines)
