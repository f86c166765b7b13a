"""Commands in process groups: their lines, their end, and what ends with them."""

import sys
from concurrent.futures import ThreadPoolExecutor
from tempfile import TemporaryFile

import pytest
from helpers import has_ended, until

from imageproof.system._commands import MOST_LINES, CommandFailedError, Commands

SLEEPS = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"


def test_lines_without_credentials_and_stdout_file():
    code = "import sys; print('{}'); print('http://me:secret@host', file=sys.stderr); sys.exit(5)"
    lines = []
    with TemporaryFile("w+") as output, pytest.raises(CommandFailedError) as failed:
        Commands().run([sys.executable, "-c", code], on_line=lines.append, stdout=output)
    assert (failed.value.code, str(failed.value)) == (5, "ended with 5")
    assert lines == failed.value.lines == ["http://***@host"]


def test_last_lines_are_kept():
    code = f"print('x\\n' + {MOST_LINES} * 'y\\n', end='')"
    lines = []
    last = Commands().run([sys.executable, "-c", code], on_line=lines.append)
    assert lines == ["x", *MOST_LINES * "y"]
    assert last == lines[1:]


def test_stop_ends_running_and_refuses_new():
    commands = Commands()
    pids = list[str]()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(commands.run, [sys.executable, "-c", SLEEPS], on_line=pids.append)
        assert until(lambda: pids != [])
        commands.stop()
        with pytest.raises(CommandFailedError, match="ended by SIGTERM"):
            future.result(20)
    assert has_ended(int(pids[0]))
    with pytest.raises(CommandFailedError, match="was not started"):
        commands.run(["true"], on_line=print)
