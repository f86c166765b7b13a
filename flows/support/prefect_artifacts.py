"""Artifacts that flows create in Prefect."""

import re
from typing import Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from digits.params import project


def artifact_key(name: str) -> str:
    """The key of an artifact of this project, in the characters that Prefect allows."""
    return re.sub(r"[^a-z0-9]+", "-", f"{project().name}-{name.lower()}").strip("-")


def show_markdown(text: str, name: str, description: str | None = None) -> None:
    """Create a Markdown artifact of this project."""
    create_markdown_artifact(text, key=artifact_key(name), description=description)


def show_table(rows: list[dict[str, Any]], name: str, description: str) -> None:
    """Create a table artifact of this project; the keys of the rows are its columns."""
    create_table_artifact(rows, key=artifact_key(name), description=description)
