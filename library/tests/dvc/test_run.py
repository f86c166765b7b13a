"""`imageproof run` on a small DVC project: what runs, what is said, how it ends."""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from dvc.repo import Repo, lock_repo
from filelock import FileLock
from helpers import finding, has_ended, python, until
from small_project import Project

from imageproof.base.errors import BusyError, DataError, UsageError
from imageproof.dvc._run import Board, run_pipeline
from imageproof.dvc.provenance import PROJECT_LOCK, recorded

# `imageproof run` without the table of results, which these stages do not make
RUN = """
import sys
from pathlib import Path
from imageproof.system import _process
from imageproof.dvc._run import run_pipeline
ran = lambda: run_pipeline(Path(), sys.argv[1:], threads=2)
_process.run_program(lambda: print("ran:", *sorted(ran())))
"""
ALL = ["compare", "prepare", "train@cnn", "train@mlp"]


def imageproof_run(**environment):
    return python("-c", RUN, env={**os.environ, **environment})


def refusal(error, *names):
    """The line with which nothing runs."""
    return finding(error, run_pipeline, Path(), names, threads=2)


@contextmanager
def started(project, stage):
    """`imageproof run` while this stage runs; the stage takes ten minutes."""
    project.sleeps(stage, 600)
    with subprocess.Popen(
        [sys.executable, "-c", RUN], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        try:
            assert until(lambda: stage in project.ran(), seconds=180)
            yield program
        finally:
            program.kill()


def test_run_makes_files_of_dvc_repro_once(dvc_project, tmp_path):
    dvc_project.set_epochs("mlp", 2)
    serial = Project(shutil.copytree(dvc_project.root, tmp_path / "serial"), dvc_project.control)
    serial.dvc("repro", "-q")
    first = imageproof_run(FORCE_COLOR="1", TERM="xterm")  # as CI does, which is no terminal
    lines = first.stdout.splitlines()
    assert lines[-1] == f"ran: {' '.join(ALL)}", first.stderr
    assert lines[0] == "to run: prepare, train@mlp, train@cnn, compare"
    assert "train@mlp: train-mlp epoch 2/2" in lines
    assert any(line.endswith("; 4 of 4 stages") for line in lines)
    assert "\x1b[2K" not in first.stdout
    assert dvc_project.files() == serial.files()
    Path("raw.txt").write_text("of this `prepare` makes the same")
    assert run_pipeline(Path(), threads=2) == {"prepare"}
    assert run_pipeline(Path(), threads=2) == set()


def test_lines_with_brackets_are_shown(capsys):
    board = Board(["split"])
    with board.table:
        board.start("split")
        board.line("split", "warning: [/b] [red]")
        [*_, note] = board.table.columns
        assert str(note(board.table.tasks[0])) == "warning: [/b] [red]"
    assert "split: warning: [/b] [red]" in capsys.readouterr().out


def test_run_ends_as_failed_stage(dvc_project):
    # as many errors as a command prints, with the line that counts the others
    text = "print(*21 * ['error: no disk'], 'half a line', sep='\\n', end='', flush=True)\n"
    Path("stage.py").write_text(f"{text}raise SystemExit(3)\n")
    done = imageproof_run()
    assert done.returncode == 3
    assert done.stderr.splitlines() == [
        *21 * ["error: prepare: no disk"],
        "error: not done: prepare, train@mlp, train@cnn, compare",
    ]
    assert "prepare: failed in " in done.stdout


def test_killed_stage_is_run_again(dvc_project):
    with started(dvc_project, "train-mlp") as program:
        os.kill(int(dvc_project.log()[-1][1]), signal.SIGKILL)
        assert program.wait(60) == 128 + signal.SIGKILL
        assert program.stderr
        assert program.stderr.readline().startswith("error: train@mlp: ")
    assert recorded("prepare").outputs
    assert recorded("train@mlp").outputs == {}
    dvc_project.works()
    assert run_pipeline(Path(), threads=2) == {*ALL} - {"prepare"}


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGKILL])
def test_signal_ends_every_stage(dvc_project, signum):
    with started(dvc_project, "train-mlp") as program:
        # DVC ends after the stage, and holds its lock until then
        processes = psutil.Process(program.pid).children(recursive=True)
        program.send_signal(signum)
        assert program.wait(30) == (-signum if signum == signal.SIGKILL else 128 + signum)
        assert program.stderr
        assert program.stderr.read() == ""
    assert int(dvc_project.log()[-1][1]) in [process.pid for process in processes]
    assert until(lambda: all(has_ended(process.pid) for process in processes), seconds=60)


def test_what_cannot_run_is_refused_first(dvc_project):
    line = f"targets: 'nosuch' is no stage; there are {', '.join(ALL)}"
    assert refusal(UsageError, "nosuch") == line
    with FileLock(PROJECT_LOCK):
        assert refusal(BusyError).endswith("works in this folder; try again when it has ended")
    with Repo() as repo, lock_repo(repo):
        assert refusal(BusyError) == ".: another DVC command runs in this folder; try again"
    rwlock = Path(".dvc/tmp/rwlock")
    rwlock.write_text("")
    assert refusal(BusyError).endswith("half written; delete it, and try again")
    rwlock.unlink()
    dvc_project.set_data("2")
    assert refusal(DataError).startswith("data: is not what data.dvc names; `dvc commit ")
    shutil.rmtree("data")
    assert refusal(DataError) == "data: not found; `dvc pull data.dvc` fetches it"
    Path("data.dvc").unlink()
    assert refusal(DataError).startswith("data: not found, and nothing makes it; put data there")
    assert dvc_project.ran() == []
