"""Run one stage with `dvc repro`. No other module reads what DVC prints."""

import re
import sys
from collections.abc import Callable, Mapping, Sequence

from imageproof.base.errors import BusyError, ImageproofError, ServiceError
from imageproof.system._commands import CommandFailedError, Commands

# A process of DVC that ends with ours, and may run one stage beside others that do.
DVC = (sys.executable, "-m", "imageproof.system._commands", "dvc", "--wait-for-lock")
NOT_RUN = {"didn't change, skipping": "unchanged", "is cached - skipping run": "from cache"}
FAILED = "ERROR: failed to reproduce "
RUNNING = "Running stage "
DVC_CHATTER = (  # how lines around each stage begin
    RUNNING,
    "> ",
    "Stage '",
    FAILED,
    "Having any troubles? Hit us up",
    "Generating lock file",
    "Updating lock file",
    "To track the changes with git, run:",
    "\tgit add ",
    "To enable auto staging, run:",
    "\tdvc config core.autostage",
    "Use `dvc push` to send your updates",
    "Data and pipelines are up to date.",
)
DVC_ERROR = 255  # its exit code for nearly everything


def reproduce(
    name: str,
    commands: Commands,
    on_line: Callable[[str], None],
    *,
    command: Sequence[str] = (),
    env: Mapping[str, str],
) -> str:
    """`dvc repro` one stage (or another `command` of DVC that runs stages) as one of `commands`.

    Returns `done`, `unchanged`, or `from cache` where its command need not run. If it fails, a
    ImageproofError has its exit code, and its `error:` lines or else its last ones.
    """
    ran: list[str] = []

    def show(line: str) -> None:
        if line.startswith(RUNNING):
            ran.append(line)
        if line and not line.startswith(DVC_CHATTER):
            on_line(line)

    dvc = [*DVC, *(command or ("repro", "--single-item", name))]
    try:
        lines = commands.run(dvc, on_line=show, env=env)
    except CommandFailedError as error:
        raise _failure(name, error) from None
    if ran:  # of several stages, one
        return "done"
    text = "\n".join(lines)
    return next((outcome for words, outcome in NOT_RUN.items() if words in text), "done")


def _failure(name: str, failed: CommandFailedError) -> ImageproofError:
    lines = [line for line in failed.lines if line and not line.startswith(DVC_CHATTER)]
    faults = [line for line in failed.lines if line.startswith("ERROR:")]
    reasons = failed.errors or lines[-10:] or faults or failed.findings
    error = ImageproofError(*(f"{name}: {line}" for line in reasons))
    error.max_lines = len(error.findings)  # the stage has counted what it leaves out
    if any(" is busy, it is being blocked by" in line for line in failed.lines):
        error.exit_code = BusyError.exit_code
        return error
    # DVC tells the exit code of the stage's command in words, after all that the command printed,
    # which may have ended within a line
    _, failed_to, words = "\n".join(failed.lines).rpartition(FAILED)
    codes = re.findall(r", exited with (-?\d+)$", words, re.MULTILINE) if failed_to else []
    code = ServiceError.exit_code if failed.code == DVC_ERROR else failed.code
    code = int(codes[-1]) if codes else code
    error.exit_code = code if code > 0 else 128 - code  # negative: ended by a signal
    return error
