"""The commands that flows run: `dvc …` for the pipeline and `digits …` for registered models."""

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from prefect import get_run_logger, runtime

from digits.core import process
from digits.core.commands import CommandFailedError, Commands
from digits.core.errors import DigitsError

DVC = (sys.executable, "-m", "digits.core.commands", "dvc", "--wait-for-lock")
DIGITS = Path(sys.executable).with_name("digits")
REFUSED = 5

LAST_LINES = 10
# What DVC says after every stage, whose end Prefect shows anyway.
DVC_HINTS = (
    "Generating lock file",
    "Updating lock file",
    "To track the changes with git, run:",
    "\tgit add ",
    "To enable auto staging, run:",
    "\tdvc config core.autostage",
    "Use `dvc push` to send your updates",
)
DVC_SAYS = ("Running stage ", "> ", "ERROR: failed to reproduce ")


class Dvc:
    """DVC in the project's folder or in a copy of it, during one flow run."""

    def __init__(
        self, root: Path, folder: Path, *, experiment: str | None, timeout_s: float | None
    ) -> None:
        """Stages find the code of `folder`, and the tracking store of the project in `root`."""
        self.folder = folder
        self.commands = Commands()
        self._timeout_s = timeout_s
        flow_run = str(runtime.flow_run.id)
        env = process.child_environment(root=root, experiment=experiment or "", flow_run=flow_run)
        paths = [str(folder / "src"), *filter(None, [env.get("PYTHONPATH")])]
        self._env = env | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}

    def run(
        self, *arguments: str, on_line: Callable[[str], None] = lambda _line: None
    ) -> list[str]:
        """Run a DVC command and stream it into the log of the task that calls this.

        Returns:
            Its lines.

        Raises:
            DigitsError: it failed, took too long, or the flow run ends; with its last lines.
        """
        logger = get_run_logger()

        def log(line: str) -> None:
            if line and not line.startswith(DVC_HINTS):
                logger.info(line)
                on_line(line)

        try:
            return self.commands.run(
                [*DVC, *arguments],
                cwd=self.folder,
                env=self._env,
                on_line=log,
                timeout_s=self._timeout_s,
            )
        except CommandFailedError as error:
            raise DigitsError(str(error), *_last_lines(error.lines)) from None


def _last_lines(lines: Sequence[str]) -> list[str]:
    """The last lines without DVC's own messages; its ERROR lines if there are no others."""
    said = [line for line in lines if line and not line.startswith(DVC_SAYS + DVC_HINTS)]
    return said[-LAST_LINES:] or [line for line in lines if line.startswith("ERROR: ")]


def run_digits(*arguments: str, allowed: tuple[int, ...] = (0,)) -> Any:
    """Run `digits ARGUMENTS --json`; returns the JSON that it printed.

    Raises:
        DigitsError: it ended with another exit code than those allowed; with its own errors.
    """
    with TemporaryFile("w+", encoding="utf-8") as output:
        try:
            Commands().run(
                [str(DIGITS), *arguments, "--json"],
                stdout=output,
                on_line=get_run_logger().info,
            )
        except CommandFailedError as error:
            if error.code not in allowed:
                said = [line for line in error.lines if line.startswith("error: ")]
                reason = "; ".join(line.removeprefix("error: ") for line in said)
                raise DigitsError(
                    f"digits {arguments[0]} (exit {error.code}): {reason or 'no error line'}"
                ) from None
        output.seek(0)
        return json.load(output)
