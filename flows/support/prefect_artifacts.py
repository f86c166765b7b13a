"""What a flow run shows in Prefect: Markdown, the table of results, links."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.client.schemas.objects import State

from digits.core.artifacts import COMPARISON, LOCAL_UI, ROOT, RunRecord, TrainOutputs
from digits.core.files import read_json
from digits.evaluation.leaderboard import Comparison, cells
from digits.params import project


def artifact_key(name: str) -> str:
    """The key of an artifact of this project, in the characters that Prefect allows."""
    return re.sub(r"[^a-z0-9]+", "-", f"{project().name}-{name.lower()}").strip("-")


def show_markdown(text: str, name: str, description: str | None = None) -> None:
    """Create a Markdown artifact of this project."""
    create_markdown_artifact(text, key=artifact_key(name), description=description)


def publish_results(folder: Path, states: Mapping[str, State[Any]], *, experiment: str) -> None:
    """Create the artifacts `results` and `summary` from the files in the run's folder."""
    if (folder / COMPARISON).exists():
        rows = cells(read_json(folder / COMPARISON, Comparison).models)
        create_table_artifact(rows, key=artifact_key("results"), description="Models side by side")
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
    show_markdown("\n".join(lines), "summary", "Stages, MLflow runs and pages")
