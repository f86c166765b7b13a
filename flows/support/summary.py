"""What a `train` flow run shows of its results in Prefect: a table, and a page of links."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.client.schemas.objects import State

from digits.core.artifacts import LOCAL_UI, RunRecord
from digits.core.files import read_json
from digits.evaluation.leaderboard import Comparison, cells

ARTIFACTS = Path("artifacts")
COMPARISON = ARTIFACTS / "compare/comparison.json"
RECORDS = "artifacts/train/*/run.json"
PAGES = "artifacts/**/*.html"


def publish(folder: Path, states: Mapping[str, State[Any]], *, experiment: str | None) -> None:
    """Make the artifacts `results` and `summary` from what lies in the run's folder."""
    if (folder / COMPARISON).exists():
        rows = read_json(folder / COMPARISON, Comparison).models
        create_table_artifact(cells(rows), key="results", description="The models side by side")
    create_markdown_artifact(
        _markdown(folder, states, experiment),
        key="summary",
        description="Stages, MLflow runs and pages",
    )


def _markdown(folder: Path, states: Mapping[str, State[Any]], experiment: str | None) -> str:
    stages = [
        f"| {name} | {state.name} | {_one_line(state.message)} |" for name, state in states.items()
    ]
    runs = [_run_link(read_json(path, RunRecord)) for path in sorted(folder.glob(RECORDS))]
    lines = ["| stage | state | |", "|---|---|---|", *stages, "", "**MLflow runs**", "", *runs, ""]
    if experiment:
        lines += [f"**DVC experiment**: `dvc exp show`, `dvc exp apply {experiment}`", ""]
    pages = sorted(path.relative_to(folder / ARTIFACTS) for path in folder.glob(PAGES))
    return "\n".join([*lines, "**Pages**", "", *(_page(page, experiment) for page in pages)])


def _run_link(record: RunRecord) -> str:
    address = record.page(os.environ.get("DIGITS_MLFLOW_UI", LOCAL_UI))
    return f"- [{record.name}]({address})"


def _page(page: Path, experiment: str | None) -> str:
    # a workspace is gone when this is read, and no browser follows a link to a file
    server = os.environ.get("DIGITS_PAGES")
    path = ARTIFACTS / page
    return f"- [{path}]({server}/{page})" if server and not experiment else f"- `{path}`"


def _one_line(message: str | None) -> str:
    return " ".join((message or "").split()).replace("|", "\\|")
