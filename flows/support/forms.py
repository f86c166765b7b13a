"""What Prefect's pages show of a flow: the choices in its form, and the names of its runs."""

from collections.abc import Callable, Iterable
from inspect import signature
from pathlib import Path
from typing import Annotated, Any

from prefect import runtime
from prefect.context import FlowRunContext
from pydantic import GetJsonSchemaHandler
from pydantic_core import CoreSchema

from digits import params
from digits.core import process
from digits.core.addresses import without_credentials
from digits.core.errors import DigitsError, one_line, printable
from digits.core.pipeline import stage_names
from digits.core.provenance import code_version
from digits.models import available

# Of a flow: the code that runs; a deployment has that of its registration.
VERSION = code_version()


class Choices:
    """The values that a form offers for a parameter, read when a deployment is registered.

    Prefect's server refuses others. The flow itself says in one line what is allowed.
    """

    def __init__(self, read: Callable[[], Iterable[str]]) -> None:
        self._read = read

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Add the choices to the schema of the parameter's type."""
        schema = handler(core_schema)
        if process.flow_run():  # which Prefect started: it shows no form, and should start soon
            return schema
        try:
            choices = list(self._read())
        except DigitsError:  # no project here, or one with a mistake
            return schema
        return {**schema, "enum": choices} if choices else schema


def _models() -> list[str]:
    blocks, known = params.value_of("train"), available()
    return [name for name in blocks if name in known] if isinstance(blocks, dict) else []


Model = Annotated[str, Choices(_models)]
Space = Annotated[str, Choices(lambda: sorted(str(p) for p in Path("spaces").glob("*.yaml")))]
Target = Annotated[str, Choices(lambda: stage_names(Path.cwd()))]


def run_name() -> str:
    """The name that a flow run has already, and its parameters that are not the defaults."""
    name, context = str(runtime.flow_run.name), FlowRunContext.get()
    known = signature(context.flow.fn).parameters if context and context.flow else {}
    given = runtime.flow_run.parameters.items()
    told = [f"{key}={value}" for key, value in given if value != known[key].default]
    text = one_line(printable(without_credentials(", ".join(told))))
    return name if not text or name.endswith(text) else f"{name}: {text}"
