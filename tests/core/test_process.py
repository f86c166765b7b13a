"""How a digits process ends: one line per finding, its exit code, and no child left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import python

from digits.core import errors, process

EXIT_CODES = [
    (errors.DigitsError, 1),
    (errors.UsageError, 2),
    (errors.DataError, 3),
    (errors.ServiceError, 4),
    (errors.GateRefusedError, 5),
    (errors.BusyError, 6),
    (errors.IntegrityError, 7),
]


def run(work: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """What `process.run_program` makes of a function with this body."""
    start = "from digits.core import errors, process"
    code = f"{start}\ndef work():\n    {work}\nprocess.run_program(work)"
    return python("-c", code, env=os.environ | environment)


def start(code: str) -> "subprocess.Popen[str]":
    """Start Python, and wait until it printed a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "ready"
    return process


@pytest.mark.parametrize(("error", "code"), EXIT_CODES)
def test_each_kind_of_error_has_its_exit_code(
    error: type[errors.DigitsError], code: int, capfd: pytest.CaptureFixture[str]
) -> None:
    assert process.report_error(error("data/x.csv:5: first", "second")) == code
    assert capfd.readouterr() == ("", "error: data/x.csv:5: first\nerror: second\n")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\nerror: b", r"a\nerror: b"),
        ("a\r\x1b[31m\x07\x7f\x9b", r"a\r\u001b[31m\u0007\u007f\u009b"),
        ("a\u202egpj\u2028" + os.fsdecode(b"\xff"), r"a\u202egpj\u2028\udcff"),
        (
            "日本 Größe\tنمی\u200cدانم 👩\u200d🔬 [b]\\",
            "日本 Größe\tنمی\u200cدانم 👩\u200d🔬 [b]\\",
        ),
    ],
)
def test_a_name_in_an_error_has_no_power_over_the_terminal(
    name: str, shown: str, capfd: pytest.CaptureFixture[str]
) -> None:
    process.report_error(errors.DataError(f"{name}: bad"))
    process.report_error(FileNotFoundError(2, "No such file", name))
    process.report_error(ValueError(name))
    data, file, value = capfd.readouterr().err.splitlines()
    assert data == f"error: {shown}: bad"
    assert file == f"error: '{shown}': No such file (DIGITS_DEBUG=1 shows more)".replace("'", "")
    assert value.startswith(f"error: ValueError: {shown.split(chr(92))[0][:2]}")


def test_what_the_terminals_encoding_lacks_is_escaped() -> None:
    work = "print('7 \\u2192 8'); raise errors.DataError('\\xe9')"
    done = run(work, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout) == (3, "7 \\u2192 8\n")
    assert done.stderr == "error: \\xe9\n"


def test_work_that_succeeds_ends_with_0() -> None:
    done = run("print('done')")
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_an_error_ends_the_process_with_lines_and_code_but_no_traceback() -> None:
    done = run("raise errors.DataError('a: bad', 'b: bad')")
    assert (done.returncode, done.stderr) == (3, "error: a: bad\nerror: b: bad\n")


def test_debug_adds_the_traceback() -> None:
    done = run("raise errors.DataError('a: bad')", DIGITS_DEBUG="1")
    assert done.returncode == 3
    assert "Traceback" in done.stderr
    assert done.stderr.endswith("\nerror: a: bad\n")


@pytest.mark.parametrize(("count", "last"), [(20, "error: 19"), (21, "error: … and 1 more")])
def test_at_most_20_findings_are_shown(
    count: int, last: str, capfd: pytest.CaptureFixture[str]
) -> None:
    process.report_error(errors.DataError(*map(str, range(count))))
    lines = capfd.readouterr().err.splitlines()
    assert lines[19] == "error: 19"
    assert lines[-1] == last
    assert len(lines) == min(count, 21)


def test_a_fault_of_ours_is_one_line_too() -> None:
    done = run("raise KeyError('a\\nb')")
    assert done.returncode == 1
    assert done.stderr == "error: KeyError: 'a\\nb' (DIGITS_DEBUG=1 shows where)\n"


def test_a_missing_extra_is_one_line_that_says_how_to_install_it() -> None:
    done = run("import sys; sys.modules['optuna'] = None; import optuna")
    line = "error: optuna is not installed: pip install -e '.[sweep]'\n"
    assert (done.returncode, done.stderr) == (4, line)


def test_a_file_system_that_refuses_is_the_environments_fault() -> None:
    done = run("open('/nowhere/file')")
    assert done.returncode == 4
    assert done.stderr == (
        "error: /nowhere/file: No such file or directory (DIGITS_DEBUG=1 shows more)\n"
    )


def test_the_project_sets_its_environment_but_the_user_wins() -> None:
    code = (
        "import os; from digits.core import process; process.set_environment();"
        "print(os.environ['MLFLOW_DISABLE_TELEMETRY'], os.environ['MLFLOW_HTTP_REQUEST_TIMEOUT'])"
    )
    environment = {k: v for k, v in os.environ.items() if k not in process.ENVIRONMENT}
    done = python("-c", code, env=environment | {"MLFLOW_HTTP_REQUEST_TIMEOUT": "99"})
    assert done.stdout.split() == ["true", "99"]


def test_what_it_starts_is_its_own_python_where_no_environment_is_activated() -> None:
    work = "import subprocess; subprocess.run(['python', '-c', 'import digits; print(1)'])"
    done = run(work, PATH=os.defpath)
    assert (done.stdout, done.stderr) == ("1\n", "")


SLEEPER = """
import time
from pathlib import Path
from digits.core import process
def work():
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        time.sleep({cleanup})
        Path({mark!r}).touch()
process.run_program(work)
"""


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "SIGINT"]
)
def test_a_signal_ends_it_through_finally_without_a_traceback(
    tmp_path: Path, signum: signal.Signals, code: int
) -> None:
    started = start(SLEEPER.format(mark=str(tmp_path / "clean"), cleanup=0))
    started.send_signal(signum)
    _, stderr = started.communicate(timeout=20)
    assert (started.returncode, stderr) == (code, "")
    assert (tmp_path / "clean").exists()


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_a_second_sigterm_does_not_cut_the_clean_up_short(
    tmp_path: Path, first: signal.Signals
) -> None:
    started = start(SLEEPER.format(mark=str(tmp_path / "clean"), cleanup=0.5))
    started.send_signal(first)
    time.sleep(0.2)
    started.send_signal(signal.SIGTERM)
    started.communicate(timeout=20)
    assert started.returncode == 128 + first
    assert (tmp_path / "clean").exists()


def test_a_stage_names_the_arguments_it_wants() -> None:
    done = python("-m", "digits.stages.train")
    assert (done.returncode, done.stderr) == (
        2,
        "error: 0 arguments given; allowed: MODEL\n",
    )


def test_the_noise_of_tensorflows_start_is_not_shown() -> None:
    quiet = "with process.quiet_tensorflow(1): __import__('os').write(2, b'noise')"
    done = run(f"{quiet}\n    raise errors.DataError('after')")
    assert (done.returncode, done.stderr) == (3, "error: after\n")


@pytest.mark.usefixtures("tensorflow")
def test_tensorflow_gets_the_threads_it_was_given() -> None:
    import tensorflow as tf

    assert tf.config.threading.get_intra_op_parallelism_threads() in (0, 2)
    assert os.environ["TF_NUM_INTRAOP_THREADS"] == "2"
    assert os.environ["TF_NUM_INTEROP_THREADS"] == "2"


def test_the_project_lies_where_dvc_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert process.project_root() == tmp_path
    monkeypatch.setenv("DVC_ROOT", "/elsewhere")
    assert process.project_root() == Path("/elsewhere")


def test_a_child_belongs_to_what_is_named_and_to_nothing_of_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = {"DVC_ROOT": "/a", "DVC_EXP_NAME": "wide", "DVC_EXP_BASELINE_REV": "f", "DVC_STAGE": "t"}
    for name, value in {**ours, "PREFECT__FLOW_RUN_ID": "1", "MLFLOW_RUN_ID": "2"}.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    others = before.keys() - {*ours, "PREFECT__FLOW_RUN_ID", "MLFLOW_RUN_ID"}
    assert process.child_environment() == {name: before[name] for name in others}
    child = process.child_environment(root=Path("/b"), flow_run="3", parent_run="4")
    monkeypatch.setattr(os, "environ", child)
    assert (process.project_root(), process.flow_run()) == (Path("/b"), "3")
    assert (process.dvc_experiment(), process.take_parent_run()) == ("", "4")
    assert process.take_parent_run() is None
