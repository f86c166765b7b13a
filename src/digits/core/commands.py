"""Run commands as process groups: stream their output, end them with all that they started.

`python -m digits.core.commands MODULE …` runs a Python module as the leader of such a group, and
ends the whole group when the process that started it dies, also what ignores SIGTERM.
"""

import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock, Timer
from types import FrameType
from typing import IO, Any, NoReturn

import psutil

from digits.core import process
from digits.core.addresses import without_credentials
from digits.core.errors import DigitsError, printable

# Enough for a stage to end its MLflow run, and with the kill after it below 10 s.
GRACE_S = 7.0
# Where nobody waits for the end: on busy cores a training needs long to end its MLflow run.
LONG_GRACE_S = 60.0


class CommandFailedError(DigitsError):
    """A command exited with a code other than 0, or was ended; `lines` is what it printed."""

    def __init__(self, *findings: str, code: int = 1, lines: Sequence[str] = ()) -> None:
        super().__init__(*findings)
        self.code = code
        self.lines = lines


class Commands:
    """The commands of one piece of work. `stop` ends them all, and none starts after it."""

    def __init__(self) -> None:
        self._groups: set[int] = set()
        self._lock = Lock()
        self._stopped = False

    def run(
        self,
        command: Sequence[str],
        *,
        on_line: Callable[[str], None],
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        stdout: IO[str] | None = None,
    ) -> list[str]:
        """Run a command to its end; after `timeout_s` seconds it is ended.

        `on_line` gets each line of its output as it comes, without credentials and characters that
        control a terminal; with a file for `stdout` only the lines of standard error. Returns all
        lines that `on_line` got.

        Raises:
            CommandFailedError: it failed, took longer than `timeout_s`, or was stopped.
        """
        child = self._start(command, stdout, cwd=cwd, env=env)
        timer = Timer(timeout_s or 0, end_groups, [[child.pid]])
        timer.daemon = True
        started = time.monotonic()
        try:
            if timeout_s:
                timer.start()
            lines = _stream(child, on_line)
        except BaseException:
            end_groups([child.pid])
            raise
        finally:
            child.wait()
            timer.cancel()
            self._groups.discard(child.pid)
        if child.returncode != 0:
            reason = f"ended with {child.returncode}"
            if timeout_s and time.monotonic() - started >= timeout_s:
                reason = f"took longer than {timeout_s:g} s"
            elif child.returncode < 0:
                reason = f"was ended by {signal.Signals(-child.returncode).name}"
            raise CommandFailedError(reason, code=child.returncode, lines=lines)
        return lines

    def stop(self, *, grace_s: float = GRACE_S) -> None:
        """End every group: SIGTERM, and SIGKILL for what still runs `grace_s` seconds later."""
        with self._lock:
            self._stopped = True
        end_groups(list(self._groups), grace_s=grace_s)

    def _start(
        self, command: Sequence[str], stdout: IO[str] | None, **place: Any
    ) -> "subprocess.Popen[str]":
        with self._lock:
            if self._stopped:
                raise CommandFailedError("was not started: the flow run ends")
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stdout or subprocess.PIPE,
                stderr=subprocess.PIPE if stdout else subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
                **place,
            )
            self._groups.add(child.pid)
            return child


def _stream(child: "subprocess.Popen[str]", on_line: Callable[[str], None]) -> list[str]:
    lines = []
    output = child.stdout or child.stderr
    assert output is not None
    with output:
        for line in output:
            lines.append(printable(without_credentials(line.rstrip())))
            on_line(lines[-1])
    return lines


def end_groups(groups: Sequence[int], *, grace_s: float = GRACE_S) -> None:
    """Send SIGTERM to each process group, and SIGKILL to those that live `grace_s` s later."""
    _signal(groups, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while (living := _living(groups)) and time.monotonic() < deadline:
        time.sleep(0.1)
    _signal(living, signal.SIGKILL)


def _signal(groups: Sequence[int], signum: signal.Signals) -> None:
    for group in groups:
        with suppress(ProcessLookupError, PermissionError):  # macOS's word for a group of zombies
            os.killpg(group, signum)


def _living(groups: Sequence[int]) -> list[int]:
    """The groups in which a process runs, besides this one."""
    alive = set()
    for running in psutil.process_iter(["status"]):
        with suppress(ProcessLookupError):
            if running.info["status"] != psutil.STATUS_ZOMBIE and running.pid != os.getpid():
                alive.add(os.getpgid(running.pid))
    return [group for group in groups if group in alive]


def _end_group(signum: int, _frame: FrameType | None) -> NoReturn:
    # Only this process is told of its parent's death, and a stage may run other programs.
    signal.signal(signum, signal.SIG_IGN)
    end_groups([os.getpgrp()], grace_s=LONG_GRACE_S)
    sys.exit(128 + signum)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end_group)
    process.die_with_parent()
    process.spare_the_collector()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
