"""The commands that flows run: `dvc …` for the pipeline and `digits …` for registered models."""

import json
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from prefect import get_run_logger, runtime
from prefect.client.schemas.objects import State, TaskRun

from digits.core import process
from digits.core.commands import CommandFailedError, Commands
from digits.core.errors import BusyError, DigitsError, ServiceError, one_line
from digits.core.pipeline import DVC, DVC_HINTS, last_lines, stage_exit_code
from digits.core.remote import NO_RESULT

DIGITS = Path(sys.executable).with_name("digits")
REFUSED = 5

DVC_ERROR = 255  # its exit code for nearly everything, a remote that does not answer included

# Exit codes of a stage after which another try may succeed.
PASSING: dict[Any, str] = {
    ServiceError.exit_code: "a service or the environment failed",
    BusyError.exit_code: "something was busy",
}
RETRIES_AFTER_S = (10.0, 60.0)  # about: runs that failed together should not come back together


def may_pass(_task: object, _task_run: TaskRun, state: State[Any]) -> bool:
    """Whether a stage that failed may succeed when it is tried again, told by its exit code."""
    if reason := PASSING.get(state.data):
        said = one_line(state.message or "", width=300)
        get_run_logger().warning("%s (exit code %s, %s)", said, state.data, reason)
    return reason is not None


class Dvc:
    """DVC in the project's folder or in a copy of it, during one flow run."""

    def __init__(
        self, root: Path, folder: Path, *, experiment: str | None, timeout_s: float | None
    ) -> None:
        """Stages find the code of `folder`, and the tracking store of the project in `root`."""
        self.folder = folder
        self.experiment = experiment
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
            CommandFailedError: it failed, took too long, or the flow run ends; with its last lines
                and the exit code of the stage that failed.
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
            code = stage_exit_code(error)
            reason = str(error) if code == error.code else f"ended with {code}"
            raise CommandFailedError(reason, *last_lines(error.lines), code=code) from None

    def fetch_result(self, stage: str) -> bool:
        """Bring a stage up to date if its result is in DVC's run cache, here or in the remote.

        Raises:
            CommandFailedError: the remote does not answer, or the flow run ends.
        """
        command = [sys.executable, "-m", "digits.core.commands", "digits.core.remote", stage]
        try:
            self.commands.run(command, cwd=self.folder, env=self._env, on_line=lambda _line: None)
        except CommandFailedError as error:
            if error.code == NO_RESULT:
                return False
            raise CommandFailedError(*last_lines(error.lines), code=error.code) from None
        self.run("repro", "--single-item", stage)
        return True

    def wait_for_retry(self) -> None:
        """Wait as long as RETRIES_AFTER_S says if the task that calls this runs once more.

        Prefect's own wait between retries would go on after the flow run was cancelled.

        Raises:
            CommandFailedError: the flow run ends.
        """
        if retry := (runtime.task_run.run_count or 1) - 1:
            seconds = RETRIES_AFTER_S[retry - 1] * random.uniform(0.7, 1.3)
            get_run_logger().info(
                "retry %s of %s starts in %.0f s", retry, len(RETRIES_AFTER_S), seconds
            )
            self.commands.check_not_stopped(within_s=seconds)


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
