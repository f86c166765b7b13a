"""Commands in process groups of their own: streamed while they run, and ended whole."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Lock, Timer

import psutil

from digits.core.addresses import without_credentials
from digits.core.errors import DigitsError, printable

OnLine = Callable[[str], None]

# Enough for a stage to end its MLflow run, and with the kill after it below 10 s.
GRACE_S = 7.0
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


class CommandFailedError(DigitsError):
    """A command ended with a non-zero exit code, or was ended; the findings are its last lines."""


class Commands:
    """The commands of one flow run. `stop` ends them all, and none starts after it."""

    def __init__(self) -> None:
        self._groups: set[int] = set()
        self._lock = Lock()
        self._stopped = False

    def run(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        on_line: OnLine,
        timeout_s: float | None = None,
    ) -> list[str]:
        """Run a command to its end; `on_line` gets each line of its output as it comes.

        Returns:
            All lines.

        Raises:
            CommandFailedError: it failed, took longer than `timeout_s` seconds, or was stopped.
        """
        process = self._start(command, cwd, env)
        timer = Timer(timeout_s, end_groups, [[process.pid]]) if timeout_s else None
        started = time.monotonic()
        if timer:
            timer.daemon = True
            timer.start()
        try:
            lines = _stream(process, on_line)
        except BaseException:
            end_groups([process.pid])
            raise
        finally:
            process.wait()
            if timer:
                timer.cancel()
            self._groups.discard(process.pid)
        if process.returncode != 0:
            timed_out = timeout_s is not None and time.monotonic() - started >= timeout_s
            reason = f"took longer than {timeout_s:g} s" if timed_out else _reason(process)
            raise CommandFailedError(reason, *_telling(lines))
        return lines

    def stop(self) -> None:
        """End every group: SIGTERM, and SIGKILL for what still runs GRACE_S later."""
        with self._lock:
            self._stopped = True
        end_groups(list(self._groups))

    def _start(
        self, command: Sequence[str], cwd: Path, env: Mapping[str, str]
    ) -> "subprocess.Popen[str]":
        with self._lock:
            if self._stopped:
                raise CommandFailedError("was not started: the flow run ends")
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            self._groups.add(process.pid)
            return process


def end_groups(groups: Sequence[int]) -> None:
    """SIGTERM to each process group, and SIGKILL GRACE_S later to those that still live."""
    _signal(groups, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_S
    while _living(groups) and time.monotonic() < deadline:
        time.sleep(0.1)
    _signal(_living(groups), signal.SIGKILL)


def _stream(process: "subprocess.Popen[str]", on_line: OnLine) -> list[str]:
    lines = []
    assert process.stdout is not None
    with process.stdout as output:
        for line in output:
            # a flow run's log is kept
            lines.append(printable(without_credentials(line.rstrip())))
            if lines[-1] and not line.startswith(DVC_HINTS):
                on_line(lines[-1])
    return lines


def _reason(process: "subprocess.Popen[str]") -> str:
    code = process.returncode
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"


def _telling(lines: Sequence[str]) -> list[str]:
    """The last lines, without what DVC says about every run of a stage unless that is all."""
    said = [line for line in lines if line and not line.startswith(DVC_SAYS + DVC_HINTS)]
    return said[-LAST_LINES:] or [line for line in lines if line.startswith("ERROR: ")]


def _signal(groups: Sequence[int], signum: signal.Signals) -> None:
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signum)


def _living(groups: Sequence[int]) -> list[int]:
    alive = set()
    for process in psutil.process_iter(["status"]):
        with contextlib.suppress(ProcessLookupError):
            if process.info["status"] != psutil.STATUS_ZOMBIE:
                alive.add(os.getpgid(process.pid))
    return [group for group in groups if group in alive]
