"""How a process of ours ends: one line per finding, its exit code, and no child left behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import has_ended, python, until

from imageproof.base import errors
from imageproof.system import _process


def run(work, **environment):
    """What `_process.run_program` makes of a function with this body."""
    start = "from imageproof.base import errors; from imageproof.system import _process"
    code = f"{start}\ndef work():\n    {work}\n_process.run_program(work)"
    return python("-c", code, env=os.environ | environment)


def test_each_kind_of_error_has_its_exit_code(capfd):
    kinds = (
        *(errors.ImageproofError, errors.UsageError, errors.DataError, errors.ServiceError),
        *(errors.GateRefusedError, errors.BusyError, errors.IntegrityError),
    )
    for code, error in enumerate(kinds, start=1):
        assert _process.report_error(error("data/x.csv:5: first", "second")) == code
        assert capfd.readouterr() == ("", "error: data/x.csv:5: first\nerror: second\n")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a\nb\r\x1b[31m\x9b\u202egpj\u2028\udcff", r"a\nb\r\u001b[31m\u009b\u202egpj\u2028\udcff"),
        ("日本 ö\tنمی\u200cدانم 👩\u200d🔬 [b]\\", "日本 ö\tنمی\u200cدانم 👩\u200d🔬 [b]\\"),
    ],
)
def test_names_are_escaped(name, text, capfd):
    _process.report_error(errors.DataError(f"{name}: bad"))
    _process.report_error(FileNotFoundError(2, "No such file", name))
    assert capfd.readouterr().err == (
        f"error: {text}: bad\nerror: {text}: No such file (IMAGEPROOF_DEBUG=1 shows more)\n"
    )


@pytest.mark.parametrize(
    ("work", "code", "stderr"),
    [
        ("pass", 0, ""),
        (  # as TensorFlow raises its own error where a signal comes between two of its scopes
            "import os\n    try: os.kill(os.getpid(), 15)\n    finally: raise KeyError('scope')",
            143,
            "",
        ),
        (
            "open('/nowhere/file')",
            4,
            "error: /nowhere/file: No such file or directory (IMAGEPROOF_DEBUG=1 shows more)\n",
        ),
    ],
)
def test_exit_code_and_lines(work, code, stderr):
    done = run(work)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", stderr)


def test_error_of_own_code_has_its_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text("def check():\n    return {}['k']\n", "utf-8")
    line = "error: own.py:2: KeyError: 'k' (IMAGEPROOF_DEBUG=1 shows more)\n"
    assert run("import own; own.check()").stderr == line


def test_pyproject_that_cannot_be_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("pyproject.toml").write_text("<<<<<<< HEAD\n", "utf-8")
    line = "error: pyproject.toml: cannot be read as TOML: Invalid statement (at line 1, column 1)"
    assert run("pass", IMAGEPROOF_NAME="").stderr == f"{line}\n"


def test_20_findings_are_shown():
    for count, last in ((20, ["19"]), (21, ["19", "… and 1 more"])):
        lines = str(errors.DataError(*map(str, range(count)))).splitlines()
        assert lines[19:] == last


def test_environment_of_the_user_wins(monkeypatch):
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "99")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("NO_PROXY", ".example.org")
    monkeypatch.setenv("GIT_DIR", "/elsewhere/.git")  # as in a hook of git: it misleads
    _process.set_environment()
    assert "GIT_DIR" not in os.environ
    assert os.environ["no_proxy"] == ".example.org"
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "99"


def test_child_python_is_its_own():
    work = "import subprocess; subprocess.run(['python', '-c', 'import imageproof; print(1)'])"
    done = run(work, PATH=os.defpath)
    assert (done.stdout, done.stderr) == ("1\n", "")


SLEEPER = """
import time
from pathlib import Path
from imageproof.system import _process
def work():
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        Path({mark!r}).touch()
_process.run_program(work)
"""


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_signal_cleans_up(tmp_path, signum):
    work = SLEEPER.format(mark=str(tmp_path / "clean"))
    command = [sys.executable, "-c", work]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as sleeper:
        assert sleeper.stdout is not None
        assert sleeper.stdout.readline() == b"ready\n"
        sleeper.send_signal(signum)
        _, stderr = sleeper.communicate(timeout=20)
    assert (sleeper.returncode, stderr) == (128 + signum, b"")
    assert (tmp_path / "clean").exists()


CALLBACK = """
import os, signal, time, weakref
from imageproof.system import _process
def work():
    kept = set()
    reference = weakref.ref(kept, lambda _: os.kill(os.getpid(), signal.SIGTERM))
    del kept
    time.sleep(60)
    print("went on")
_process.run_program(work)
"""


def test_signal_ends_a_process_that_cannot_raise_then():
    done = python("-c", CALLBACK)
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGTERM, "", "")


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_signal_after_the_work_undoes_nothing(signum):
    done = run(f"import atexit, os; atexit.register(os.kill, os.getpid(), {int(signum)})")
    assert (done.returncode, done.stderr) == (0, "")


STAGE = """
import os, time
from imageproof.dvc.stage_command import run_stage
def work():
    try:
        print(os.getpid(), flush=True)
        time.sleep(600)
    finally:
        os.write(1, b"cleaned up")
{start}
run_stage(work)
"""
IMPORTS = "print(os.getpid(), flush=True); time.sleep(1)"
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-uc', sys.argv[1]])"


@pytest.mark.parametrize(("start", "end"), [("", "cleaned up"), (IMPORTS, "")])
def test_a_stage_ends_when_its_parent_dies(start, end):
    command = [sys.executable, "-c", PARENT, STAGE.format(start=start)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
        assert until(lambda: has_ended(pid))
        assert parent.stdout.read().endswith(end)


def test_child_environment_has_no_context_of_ours(monkeypatch):
    environment = dict(os.environ)
    context = "DVC_ROOT DVC_STAGE DVC_EXP_NAME DVC_EXP_BASELINE_REV MLFLOW_RUN_ID"
    for name in (*context.split(), "PREFECT__FLOW_RUN_ID"):
        monkeypatch.setenv(name, "/a")
    assert _process.project_root() == Path("/a")
    assert _process.child_environment() == environment
