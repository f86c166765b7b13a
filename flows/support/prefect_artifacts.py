"""What a `train` flow run shows in Prefect: progress of each training, results, links."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from prefect import get_run_logger
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from digits.core.artifacts import COMPARISON, LOCAL_UI, ROOT, RunRecord, TrainOutputs
from digits.core.files import read_json
from digits.evaluation.leaderboard import Comparison, cells
from digits.params import project
from flows.support.server import no_answer

NOT_SHOWN = "%s: not shown in Prefect; %s"
EPOCH = re.compile(r" epoch (\d+)/(\d+)\b")


def artifact_key(name: str) -> str:
    """The key of an artifact of this project, in the characters that Prefect allows."""
    return re.sub(r"[^a-z0-9]+", "-", f"{project().name}-{name.lower()}").strip("-")


@contextmanager
def only_shown(what: str) -> Iterator[None]:
    """Create artifacts in this block; a server that is away costs a warning, not the work."""
    try:
        yield
    except Exception as error:
        if (told := no_answer(error)) is None:
            raise
        get_run_logger().warning(NOT_SHOWN, what, told)


def show_markdown(text: str, name: str, description: str | None = None) -> None:
    """Create a Markdown artifact of this project."""
    with only_shown(name):
        create_markdown_artifact(text, key=artifact_key(name), description=description)


class Progress:
    """A Prefect artifact that follows the lines `… epoch 3/12 …` of a stage's output."""

    def __init__(self, stage: str) -> None:
        self._stage, self._logger = stage, get_run_logger()
        self._artifact: Any = None
        self._is_missed = False

    def on_line(self, line: str) -> None:
        """Read one line of the stage's output."""
        if not (epoch := EPOCH.search(line)):
            return
        percent = 100 * int(epoch[1]) / int(epoch[2])
        # tried once: the next epoch shows the same, and a training does not wait for a server
        try:
            with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
                self._show(percent, line)
            self._is_missed = False
        except httpx.HTTPError as error:
            if not self._is_missed:
                told = no_answer(error) or error
                self._logger.warning(NOT_SHOWN, f"progress of {self._stage}", told)
            self._is_missed = True

    def _show(self, percent: float, line: str) -> None:
        if self._artifact:
            update_progress_artifact(self._artifact, percent, description=line)
        else:
            key = artifact_key(f"progress-{self._stage}")
            self._artifact = create_progress_artifact(percent, key=key, description=line)


def publish_results(
    folder: Path, states: Mapping[str, State[Any]], *, experiment: str | None
) -> None:
    """Create the artifacts `results` and `summary` from the files in the run's folder."""
    with only_shown("results"):
        _publish(folder, states, experiment)


def _publish(folder: Path, states: Mapping[str, State[Any]], experiment: str | None) -> None:
    if (folder / COMPARISON).exists():
        rows = read_json(folder / COMPARISON, Comparison).models
        create_table_artifact(
            cells(rows), key=artifact_key("results"), description="The models side by side"
        )
    lines = ["| stage | state | |", "|---|---|---|"]
    for name, state in states.items():
        message = " ".join((state.message or "").split()).replace("|", "\\|")
        lines.append(f"| {name} | {state.name} | {message} |")
    lines += ["", "**MLflow runs**", ""]
    mlflow_ui = os.environ.get("DIGITS_MLFLOW_UI", LOCAL_UI)
    for path in sorted(folder.glob(str(TrainOutputs("*").run))):
        record = read_json(path, RunRecord)
        lines.append(f"- [{record.name}]({record.page(mlflow_ui)})")
    if experiment:
        lines += ["", f"**DVC experiment**: `dvc exp show`, `dvc exp apply {experiment}`"]
    lines += ["", "**Pages**", ""]
    # no link: a workspace is deleted, and browsers block links to files
    server = None if experiment else os.environ.get("DIGITS_PAGES")
    for path in sorted((folder / ROOT).rglob("*.html")):
        page = path.relative_to(folder / ROOT)
        lines.append(f"- [{ROOT / page}]({server}/{page})" if server else f"- `{ROOT / page}`")
    description = "Stages, MLflow runs and pages"
    create_markdown_artifact("\n".join(lines), key=artifact_key("summary"), description=description)
