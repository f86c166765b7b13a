"""Run one stage with `dvc repro`. No other module reads what DVC prints."""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from digits.core.commands import CommandFailedError, Commands
from digits.core.errors import BusyError, DigitsError, ServiceError

# A process of DVC that ends with ours, and may run one stage beside others that do.
DVC = (sys.executable, "-m", "digits.core.commands", "dvc", "--wait-for-lock")
NOT_RUN = {"didn't change, skipping": "unchanged", "is cached - skipping run": "from cache"}
FAILED = "ERROR: failed to reproduce "
OWN_LINES = (  # what DVC says around each stage
    *("Running stage ", "> ", "Stage '", FAILED, "Having any troubles? Hit us up"),
    *("Generating lock file", "Updating lock file", "To track the changes with git, run:"),
    *("\tgit add ", "To enable auto staging, run:", "\tdvc config core.autostage"),
    "Use `dvc push` to send your updates",
)
LAST_LINES = 10


def reproduce(
    stage: str,
    commands: Commands,
    on_line: Callable[[str], None],
    *,
    options: Sequence[str] = (),
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout_s: float | None = None,
) -> str:
    """`dvc repro` one stage, with these options of it; `on_line` gets the lines of its command.

    Returns:
        How it ended: `done`, `unchanged`, or `from cache` where its command need not run.

    Raises:
        DigitsError: it failed, with its exit code and its `error:` lines or else its last ones.
        BusyError: another DVC command runs here.
        ServiceError: DVC failed.
    """

    def show(line: str) -> None:
        if line and not line.startswith(OWN_LINES):
            on_line(line)

    command = [*DVC, "repro", "--single-item", *options, stage]
    try:
        lines = commands.run(command, on_line=show, cwd=cwd, env=env, timeout_s=timeout_s)
    except CommandFailedError as error:
        raise _failure(stage, error) from None
    return next((NOT_RUN[words] for words in NOT_RUN if words in "\n".join(lines)), "done")


def _failure(stage: str, failed: CommandFailedError) -> DigitsError:
    said = [line for line in failed.lines if line and not line.startswith(OWN_LINES)]
    errors = [line.removeprefix("error: ") for line in said if line.startswith("error: ")]
    told = errors or said[-LAST_LINES:] or [line for line in failed.lines if line[:6] == "ERROR:"]
    error = DigitsError(*(f"{stage}: {line}" for line in told or failed.findings))
    if any(" is busy, it is being blocked by" in line for line in failed.lines):
        error.exit_code = BusyError.exit_code
    elif failed.code < 0:  # ended by a signal
        error.exit_code = 128 - failed.code
    else:
        error.exit_code = _exit_code(failed.lines)
    return error


def _exit_code(lines: Sequence[str]) -> int:
    """That of the stage's command, which DVC tells in words; if it failed itself, a service's."""
    last = max((n for n, line in enumerate(lines) if line.startswith(FAILED)), default=len(lines))
    codes = re.findall(r", exited with (-?\d+)$", "\n".join(lines[last:]), re.MULTILINE)
    code = int(codes[-1]) if codes else ServiceError.exit_code
    return code if code > 0 else 128 - code
