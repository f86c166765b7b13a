"""What Prefect's pages show of a flow: the choices in its form, and the version of its code."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from digits import params
from digits.core.errors import DigitsError
from digits.core.pipeline import stage_names
from digits.core.provenance import code_version
from digits.models import available

# Of a flow: the code that runs; a deployment has that of its registration.
VERSION = code_version()


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
