"""What a `train` flow run shows in Prefect: progress of each training, results, links."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.client.schemas.objects import State

from digits.core.artifacts import COMPARISON, LOCAL_UI, ROOT, RunRecord, TrainOutputs
from digits.core.files import read_json
from digits.evaluation.leaderboard import Comparison, cells

RECORDS = str(TrainOutputs("*").run)
PAGES = f"{ROOT}/**/*.html"
EPOCH = re.compile(r" epoch (\d+)/(\d+)\b")


class Progress:
    """A Prefect artifact that follows the lines `… epoch 3/12 …` of a stage's output."""

    def __init__(self, stage: str) -> None:
        # the characters that Prefect allows in a key
        self._key = re.sub(r"[^a-z0-9]+", "-", f"progress-{stage.lower()}").strip("-")
        self._artifact: Any = None

    def on_line(self, line: str) -> None:
        """Read one line of the stage's output."""
        epoch = EPOCH.search(line)
        if not epoch:
            return
        percent = 100 * int(epoch[1]) / int(epoch[2])
        if self._artifact is None:
            self._artifact = create_progress_artifact(percent, key=self._key, description=line)
        else:
            update_progress_artifact(self._artifact, percent, description=line)


def publish_results(
    folder: Path, states: Mapping[str, State[Any]], *, experiment: str | None
) -> None:
    """Create the artifacts `results` and `summary` from the files in the run's folder."""
    if (folder / COMPARISON).exists():
        rows = read_json(folder / COMPARISON, Comparison).models
        create_table_artifact(cells(rows), key="results", description="The models side by side")
    create_markdown_artifact(
        _summary(folder, states, experiment),
        key="summary",
        description="Stages, MLflow runs and pages",
    )


def _summary(folder: Path, states: Mapping[str, State[Any]], experiment: str | None) -> str:
    stages = [
        f"| {name} | {state.name} | {_one_line(state.message)} |" for name, state in states.items()
    ]
    runs = [_run_link(read_json(path, RunRecord)) for path in sorted(folder.glob(RECORDS))]
    lines = ["| stage | state | |", "|---|---|---|", *stages, "", "**MLflow runs**", "", *runs, ""]
    if experiment:
        lines += [f"**DVC experiment**: `dvc exp show`, `dvc exp apply {experiment}`", ""]
    pages = sorted(path.relative_to(folder / ROOT) for path in folder.glob(PAGES))
    return "\n".join([*lines, "**Pages**", "", *(_page(page, experiment) for page in pages)])


def _run_link(record: RunRecord) -> str:
    address = record.page(os.environ.get("DIGITS_MLFLOW_UI", LOCAL_UI))
    return f"- [{record.name}]({address})"


def _page(page: Path, experiment: str | None) -> str:
    # a workspace is gone when this is read, and no browser follows a link to a file
    server = os.environ.get("DIGITS_PAGES")
    path = ROOT / page
    return f"- [{path}]({server}/{page})" if server and not experiment else f"- `{path}`"


def _one_line(message: str | None) -> str:
    return " ".join((message or "").split()).replace("|", "\\|")
