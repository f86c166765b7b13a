"""What Prefect's pages show of a flow: choices in its form, the version of its code, artifacts."""

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed

from digits import params
from digits.core.errors import DigitsError
from digits.core.pipeline import stage_names
from digits.core.repository import try_git
from digits.models import available

# Of a flow: the code that runs; a deployment has that of its registration.
VERSION = try_git("describe", "--always", "--dirty", "--exclude=*") or None  # of the code


class Choices:
    """The values that a form offers, read when a deployment is registered; others are refused."""

    def __init__(self, read: Callable[[], Iterable[str]]) -> None:
        self._read = read

    def __get_pydantic_json_schema__(self, core: Any, handler: Any) -> dict[str, Any]:
        """Add the choices to the schema of the parameter's type."""
        schema: dict[str, Any] = handler(core)
        with suppress(DigitsError):  # no project here, or one with a mistake
            if choices := list(self._read()):
                return {**schema, "enum": choices}
        return schema


def _models() -> list[str]:
    blocks, known = params.value_of("train"), available()
    return [name for name in blocks if name in known] if isinstance(blocks, dict) else []


Model = Annotated[str, Choices(_models)]
Space = Annotated[str, Choices(lambda: sorted(map(str, Path("spaces").glob("*.yaml"))))]
Target = Annotated[str, Choices(lambda: stage_names(Path.cwd()))]


def artifact_key(name: str) -> str:
    """The key of an artifact of this project, in the characters that Prefect allows."""
    return re.sub(r"[^a-z0-9]+", "-", f"{params.project().name}-{name}".lower()).strip("-")


def show_table(rows: list[dict[str, Any]], name: str, description: str) -> None:
    """Create a table artifact of this project; the keys of the rows are its columns."""
    create_table_artifact(rows, key=artifact_key(name), description=description)


def show_drift(found: dict[str, Any], name: str, source: str, *lines: str) -> State[None]:
    """Show the drift that `digits score` or `digits monitor` found; returns the flow's state."""
    what = f"{found['rows']:,} rows of {source} by {found['model']}"
    show_table(found["drift"], name, "\n\n".join([what, *lines, *found["warnings"]]))
    drifted = ", ".join(found["drifted"]) or "nothing"
    return Completed(message=f"{found['rows']:,} rows; drifted: {drifted}")
