"""Run commands as process groups: stream their output, end them with all that they started.

`python -m imageproof.system._commands MODULE …` runs a module whose group ends when its parent
dies.
"""

import os
import runpy
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from types import FrameType
from typing import IO, NoReturn

import psutil

from imageproof.base._addresses import without_credentials
from imageproof.base.errors import ImageproofError
from imageproof.base.text import printable
from imageproof.system import _process

# Enough for a stage to end its MLflow run, and with the kill after it below 10 s.
GRACE_S = 7.0
# Where nobody waits for the end: on busy cores a training needs long to end its MLflow run.
LONG_GRACE_S = 60.0
# A command may print 100 MB: the last lines are kept.
MOST_LINES = 10_000


class CommandFailedError(ImageproofError):
    """A command exited with a `code` other than 0, or was ended; `lines` is what it printed."""

    def __init__(
        self,
        finding: str,
        *,
        code: int = 1,
        lines: Sequence[str] = (),
    ) -> None:
        super().__init__(finding)
        self.code = code
        self.lines = lines

    @property
    def errors(self) -> list[str]:
        """What a command of ours said is wrong: its lines that begin with `error: `."""
        return [line.removeprefix("error: ") for line in self.lines if line.startswith("error: ")]


class Commands:
    """The commands of one piece of work. `stop` ends them all, and none starts after it."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = Lock()
        self._stopped = False

    def run(
        self,
        command: Sequence[str],
        *,
        on_line: Callable[[str], None],
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdout: IO[str] | None = None,
    ) -> list[str]:
        """Run a command to its end; a CommandFailedError if it fails, or is stopped.

        `on_line` gets each line of its output as it comes, without credentials and characters that
        control a terminal; with a file for `stdout` only the lines of standard error. Returns the
        last ones.
        """
        with self._lock:
            if self._stopped:
                raise CommandFailedError("was not started: the flow run ends")
            child = subprocess.Popen(
                command,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=stdout or subprocess.PIPE,
                stderr=subprocess.PIPE if stdout else subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            self._running.add(child)
        try:
            lines = _read_lines(child, on_line)
        except BaseException:
            _end([child], GRACE_S)
            raise
        finally:
            child.wait()
            self._running.discard(child)
        if code := child.returncode:
            reason = f"with {code}" if code > 0 else f"by {signal.Signals(-code).name}"
            raise CommandFailedError(f"ended {reason}", code=code, lines=lines)
        return lines

    def stop(self, *, grace_s: float = GRACE_S) -> None:
        """End every command: SIGTERM, and SIGKILL for what still runs `grace_s` seconds later."""
        with self._lock:
            self._stopped = True
        _end(list(self._running), grace_s)


def _read_lines(child: "subprocess.Popen[str]", on_line: Callable[[str], None]) -> list[str]:
    output = child.stdout or child.stderr
    assert output is not None
    lines = deque[str](maxlen=MOST_LINES)
    with output:
        for line in output:
            text = printable(without_credentials(line.rstrip()))
            lines.append(text)
            on_line(text)
    return [*lines]


def _end(children: Sequence["subprocess.Popen[str]"], grace_s: float) -> None:
    deadline = time.monotonic() + grace_s
    for child in children:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)
    for child in children:
        with suppress(ProcessLookupError):
            try:
                child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)


def _end_group(signum: int, _frame: FrameType | None) -> NoReturn:
    # Only this process is told of its parent's death, and a stage may run other programs.
    signal.signal(signum, signal.SIG_IGN)
    started = psutil.Process().children(recursive=True)
    os.killpg(0, signum)
    psutil.wait_procs(started, timeout=LONG_GRACE_S)
    sys.exit(128 + signum)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end_group)
    _process.die_with_parent()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
