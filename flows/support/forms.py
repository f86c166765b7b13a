"""What Prefect's pages show of a flow: the choices in its form, and the version of its code."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from digits import params
from digits.core.errors import DigitsError
from digits.core.pipeline import stage_names
from digits.core.provenance import code_version
from digits.models import available

# Of a flow: the code that runs; a deployment has that of its registration.
VERSION = code_version()


def _choices(read: Callable[[], Iterable[str]]) -> Any:
    """The values that a form offers, read when a deployment is registered; others are refused."""

    def add(schema: dict[str, Any]) -> None:
        with suppress(DigitsError):  # no project here, or one with a mistake
            if choices := list(read()):
                schema["enum"] = choices

    return Field(json_schema_extra=add)


def _models() -> list[str]:
    blocks, known = params.value_of("train"), available()
    return [name for name in blocks if name in known] if isinstance(blocks, dict) else []


Model = Annotated[str, _choices(_models)]
Space = Annotated[str, _choices(lambda: sorted(map(str, Path("spaces").glob("*.yaml"))))]
Target = Annotated[str, _choices(lambda: stage_names(Path.cwd()))]
