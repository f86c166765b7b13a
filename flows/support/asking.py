"""`digits …` as a subprocess: its JSON, and its errors as the flow's."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from prefect import get_run_logger

from digits.core.errors import printable
from flows.support.commands import CommandFailedError, end_groups

DIGITS = Path(sys.executable).with_name("digits")
REFUSED = 5


def ask(*arguments: str, allowed: tuple[int, ...] = (0,)) -> Any:
    """Run `digits ARGUMENTS --json` to its end; returns what it printed.

    Its process group ends with the flow run, however that ends.

    Raises:
        CommandFailedError: it ended with another exit code than those allowed.
    """
    process = subprocess.Popen(
        [str(DIGITS), *arguments, "--json"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        output, errors = process.communicate()
    finally:
        if process.poll() is None:
            end_groups([process.pid])
            process.wait()
    for line in errors.splitlines():
        get_run_logger().info(printable(line))
    if process.returncode not in allowed:
        said = [line for line in errors.splitlines() if line.startswith("error: ")]
        reason = "; ".join(line.removeprefix("error: ") for line in said) or "no error line"
        raise CommandFailedError(f"digits {arguments[0]} (exit {process.returncode}): {reason}")
    return json.loads(output)
