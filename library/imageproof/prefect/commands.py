"""The commands that flows run: DVC for the pipeline, the project's own for registered models."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from prefect import get_run_logger, runtime

from imageproof.base._naming import project_name
from imageproof.base.errors import BusyError, ImageproofError
from imageproof.dvc._repro import DVC, reproduce
from imageproof.system import _process
from imageproof.system._commands import CommandFailedError, Commands


class Dvc(Commands):
    """DVC in the project's folder during one flow run; its output is the log of the task."""

    def __init__(self) -> None:
        super().__init__()
        own = {_process.FLOW_RUN: str(runtime.flow_run.id), "PYTHONUNBUFFERED": "1"}
        self._env = _process.child_environment() | own

    def command(self, *arguments: str) -> None:
        """Run a DVC command that runs no stage; raises ImageproofError with its last lines."""
        try:
            self.run([*DVC, *arguments], env=self._env, on_line=get_run_logger().info)
        except CommandFailedError as error:
            raise ImageproofError(f"dvc {arguments[0]} {error}", *error.lines[-5:]) from None

    def reproduce(self, name: str, *command: str) -> str:
        """Run the stages of `dvc repro NAME`, or of another command; how `name` ended."""
        return reproduce(name, self, get_run_logger().info, command=command, env=self._env)


def program() -> Path:
    """The project's command in this environment."""
    return Path(sys.executable).with_name(project_name())


def run_command(
    command: str, *arguments: str, allowed: Sequence[int] = (0,), **options: str | int
) -> Any:
    """Run the project's `COMMAND --OPTION=VALUE … --json -- ARGUMENTS`; returns its JSON.

    An option that is True is a flag; one that is false is left out. Another exit code than those
    `allowed` is an ImageproofError, with its own errors; a BusyError if the command said so.
    """
    values = {name.replace("_", "-"): value for name, value in options.items() if value}
    flags = [f"--{name}" if v is True else f"--{name}={v}" for name, v in values.items()]
    words = [str(program()), command, *flags, "--json", "--", *arguments]
    with TemporaryFile("w+", encoding="utf-8") as output:
        try:
            Commands().run(words, stdout=output, on_line=get_run_logger().info)
        except CommandFailedError as error:
            if error.code not in allowed:
                reason = "; ".join(error.errors) or "no error line"
                text = f"{project_name()} {command} (exit {error.code}): {reason}"
                kind = BusyError if error.code == BusyError.exit_code else ImageproofError
                raise kind(text) from None
        output.seek(0)
        return json.load(output)
