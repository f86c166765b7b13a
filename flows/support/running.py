"""What the tasks of one `train` flow run share: where they work, and what changed so far."""

import os
import re
import sys
from pathlib import Path
from typing import Any

import requests
from prefect import get_run_logger
from prefect.artifacts import create_progress_artifact, update_progress_artifact

from digits.core import context
from digits.tracking import database
from flows.support.commands import Commands
from flows.support.pipeline import Stage

DVC = (sys.executable, "-m", "flows.support.guarded_dvc", "--wait-for-lock")
EPOCH = re.compile(r" epoch (\d+)/(\d+)\b")


class Run:
    """DVC commands in one folder, and the stages whose outputs they changed."""

    def __init__(
        self, folder: Path, env: dict[str, str], *, force: bool, timeout_s: float | None
    ) -> None:
        self.folder = folder
        self.force = force
        self.commands = Commands()
        self._env = env
        self._timeout_s = timeout_s
        self._changed: set[str] = set()

    def may_change(self, stage: Stage) -> bool:
        """Whether DVC must be asked: the stage, or what it depends on, is not what it was."""
        return self.force or stage.changed or not self._changed.isdisjoint(stage.upstream)

    def note_changed(self, stage: Stage) -> None:
        """Its outputs were made anew, or brought from DVC's run cache."""
        self._changed.add(stage.name)

    def dvc(self, *arguments: str, progress: "Progress | None" = None) -> list[str]:
        """Run a DVC command, streamed into the log of the task that calls this; returns its lines.

        Raises:
            CommandFailedError: it failed, took too long, or the flow run ends.
        """
        logger = get_run_logger()

        def on_line(line: str) -> None:
            logger.info(line)
            if progress:
                progress.on_line(line)

        return self.commands.run(
            [*DVC, *arguments],
            cwd=self.folder,
            env=self._env,
            on_line=on_line,
            timeout_s=self._timeout_s,
        )


class Progress:
    """A Prefect artifact that follows the lines `… epoch 3/12 …` of a stage's output."""

    def __init__(self, stage: str) -> None:
        self._key = artifact_key(f"progress-{stage}")
        self._artifact: Any = None

    def on_line(self, line: str) -> None:
        """One line of the stage's output."""
        found = EPOCH.search(line)
        if not found:
            return
        percent = 100 * int(found[1]) / int(found[2])
        if self._artifact is None:
            self._artifact = create_progress_artifact(percent, key=self._key, description=line)
        else:
            update_progress_artifact(self._artifact, percent, description=line)


def check_tracking() -> None:
    """Ask for the tracking server, so that no hour of work ends at the first training.

    Raises:
        ServiceError: MLFLOW_TRACKING_URI names one that does not answer.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    database.check(uri)
    if uri.startswith("http"):
        try:
            requests.get(uri, timeout=10)
        except requests.RequestException:
            raise database.unusable(uri, "no answer; is the server up?") from None


def artifact_key(name: str) -> str:
    """The name in the characters that Prefect allows."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def environment(root: Path, folder: Path, *, run_id: str, experiment: str | None) -> dict[str, str]:
    """The environment of DVC and its stages.

    They find the code of the folder they work in, the tracking store of the project, and the
    names under which their MLflow runs are found again.
    """
    env = context.environment(root=root, experiment=experiment or "", flow_run=run_id)
    paths = [str(folder / "src"), *filter(None, [env.get("PYTHONPATH")])]
    return env | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
