"""Commands in process groups: their lines, their end, and what ends with them."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from tempfile import TemporaryFile

import pytest
from helpers import has_ended, until

from imageproof.system._commands import (
    MOST_CHARACTERS,
    MOST_LINES,
    CommandFailedError,
    Commands,
)

SLEEPS = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"


def test_lines_without_credentials_and_stdout_file():
    code = "import sys; print('{}'); print('http://me:secret@host', file=sys.stderr); sys.exit(5)"
    lines = []
    with TemporaryFile("w+") as output, pytest.raises(CommandFailedError) as failed:
        Commands().run([sys.executable, "-c", code], on_line=lines.append, stdout=output)
    assert (failed.value.code, str(failed.value)) == (5, "ended with 5")
    assert lines == failed.value.lines == ["http://***@host"]


def test_endless_output_is_cut():
    code = f"print({2 * MOST_CHARACTERS} * 'x' + '\\n' + {MOST_LINES} * 'y\\n', end='')"
    lines = []
    last = Commands().run([sys.executable, "-c", code], on_line=lines.append)
    assert lines == [MOST_CHARACTERS * "x", *MOST_LINES * "y"]
    assert last == lines[1:]


def test_stop_ends_running_and_refuses_new():
    commands, pids = Commands(), list[str]()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(commands.run, [sys.executable, "-c", SLEEPS], on_line=pids.append)
        assert until(lambda: pids != [])
        commands.stop()
        with pytest.raises(CommandFailedError, match="ended by SIGTERM"):
            future.result(20)
    assert has_ended(int(pids[0]))
    with pytest.raises(CommandFailedError, match="was not started"):
        commands.run(["true"], on_line=print)


def test_leader_ends_with_its_starter(tmp_path):
    module = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SLEEPS!r}])"
    (tmp_path / "sleeps.py").write_text(module)
    leader = [sys.executable, "-m", "imageproof.system._commands", "sleeps"]
    start = f"import subprocess; subprocess.run({leader!r}, start_new_session=True)"
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", start]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    assert until(lambda: has_ended(pid))
