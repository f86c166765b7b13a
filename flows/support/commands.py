"""The commands that flows run: `dvc …` for the pipeline and `digits …` for registered models."""

import json
import os
import sys
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from prefect import get_run_logger, runtime

from digits.core import process
from digits.core.commands import CommandFailedError, Commands
from digits.core.errors import DigitsError
from digits.running.repro import DVC, reproduce

DIGITS = Path(sys.executable).with_name("digits")
REFUSED = 5


class Dvc:
    """DVC in the project's folder or in a copy of it, during one flow run."""

    def __init__(
        self, root: Path, folder: Path, *, experiment: str = "", timeout_s: float = 0
    ) -> None:
        """Stages find the code of `folder`, and the tracking store of the project in `root`."""
        self.folder, self.commands, self._timeout_s = folder, Commands(), timeout_s or None
        flow_run = str(runtime.flow_run.id)
        env = process.child_environment(root=root, experiment=experiment, flow_run=flow_run)
        told = ("DVC_EXP_NAME", "PREFECT__FLOW_RUN_ID")  # to a stage on another machine too
        self.context = {name: env[name] for name in told if name in env}
        paths = [str(folder / "src"), *filter(None, [env.get("PYTHONPATH")])]
        self._env = env | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}

    def run(self, *arguments: str) -> None:
        """Run a DVC command and stream it into the log of the task that calls this.

        Raises:
            DigitsError: it failed, or the flow run ends; its last lines.
        """
        command, log = [*DVC, *arguments], get_run_logger().info
        try:
            self.commands.run(command, cwd=self.folder, env=self._env, on_line=log)
        except CommandFailedError as error:
            last = [line for line in error.lines if line][-5:]
            raise DigitsError(f"dvc {arguments[0]} {error}", *last) from None

    def reproduce(self, stage: str, *options: str) -> str:
        """As `digits.running.repro.reproduce`."""
        return reproduce(
            stage,
            self.commands,
            get_run_logger().info,
            options=options,
            cwd=self.folder,
            env=self._env,
            timeout_s=self._timeout_s,
        )


def run_digits(*arguments: str, allowed: tuple[int, ...] = (0,)) -> Any:
    """Run `digits ARGUMENTS --json`; returns the JSON that it printed.

    Raises:
        DigitsError: it ended with another exit code than those allowed; with its own errors.
    """
    command, log = [str(DIGITS), *arguments, "--json"], get_run_logger().info
    with TemporaryFile("w+", encoding="utf-8") as output:
        try:
            Commands().run(command, stdout=output, on_line=log)
        except CommandFailedError as error:
            if error.code not in allowed:
                said = [line[7:] for line in error.lines if line.startswith("error: ")]
                reason = "; ".join(said) or "no error line"
                raise DigitsError(f"digits {arguments[0]} (exit {error.code}): {reason}") from None
        output.seek(0)
        return json.load(output)
