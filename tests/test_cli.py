"""`digits …`: quick to start, one line per error, an exit code for each kind."""

import os
from importlib.metadata import version
from pathlib import Path

import pytest
from helpers import python
from support import write_params

COMMANDS = (
    "run results restore stats summary diff promote rollback history trace reproduce predict score "
    "monitor demo serve package suspects crossval relabel to-label labels new update adapt backbone"
)


def digits(*arguments, **environment):
    code = "import sys; from digits.project import main; sys.argv[0] = 'digits'; main()"
    return python("-c", code, *arguments, env=os.environ | environment)


def test_help_names_every_command():
    done = digits("-h")
    assert (done.returncode, done.stderr) == (0, "")
    assert all(f" {command} " in done.stdout for command in COMMANDS.split())


def test_version_is_that_of_the_project():
    done = digits("--version")
    assert (done.returncode, done.stdout) == (0, f"{version('digits')}\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("rnu", "digits: No such command 'rnu'. Did you mean 'run'?; see `digits --help`"),
        ("promote mlp --exp=", "digits promote: give MODEL, --exp NAME MODEL, or --run ID"),
        ("stats", "digits stats: Missing argument 'MATRIX.csv'; see `digits stats --help`"),
        ("promote mlp --reason --dry-run", "digits promote: --reason: its value is missing; "
         "--reason=--dry-run if that is its value"),
        ("package --out -h", "digits package: --out: its value is missing; --out=-h if that is its "
         "value"),
        ("predict a.png --explain b.jpg", "--explain b.jpg: is no .png; choose another name"),
        ("suspects --out=params.yaml", "--out params.yaml: is no .csv; choose another name"),
        ("package --out .git/new", "--out .git/new: belongs to git or DVC; choose another name"),
    ],
)  # fmt: skip
def test_wrong_argument_is_one_line(arguments, message):
    done = digits(*arguments.split())
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {message}\n")


def test_long_name_is_shortened(workspace):
    write_params({})
    done = digits("promote", "--exp", "x", "n" * 5000)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert len(done.stderr) < 1100


@pytest.mark.parametrize("arguments", ["results", "diff HEAD~1"])
def test_folder_without_project_is_one_line(workspace, arguments):
    done = digits(*arguments.split())
    line = "error: params.yaml: not found; run from the project's folder\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)


def test_debug_adds_the_traceback(workspace):
    write_params({})
    plain, debug = digits("results"), digits("--debug", "results")
    line = "error: artifacts/compare/comparison.json: not found; `dvc repro` makes it\n"
    assert (plain.returncode, plain.stderr) == (debug.returncode, line) == (3, line)
    assert "Traceback" in debug.stderr
    assert debug.stderr.endswith(f"\n{line}")


@pytest.mark.parametrize(("encoding", "options"), [("utf-8", ["--json"]), ("ascii", [])])
def test_names_from_a_file_are_shown_and_never_obeyed(workspace, encoding, options):
    Path("m.csv").write_text(
        'p,"a\x1b[31m","é\nerror: [/b]"\n"a\x1b[31m",5,1\n"é\nerror: [/b]",2,6\n'
    )
    done = digits("stats", "m.csv", *options, PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, "")
    assert "a\\u001b[31m" in done.stdout
    assert "\x1b" not in done.stdout
    assert "\nerror" not in done.stdout
    assert "0.785" in done.stdout  # 11 of 14
    assert done.stdout.startswith("{\n") == bool(options)


def test_command_of_project_stands_beside_the_others(tmp_path):
    program = """
from imageproof.project import Application
from imageproof.cli.program import cli

def hello(name: str) -> None:
    print("hello", name)

cli(Application(load=None, networks=None, check_model=None, trainer=None, commands=[hello]))
"""
    done = python("-c", program, "hello", "you", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "hello you\n"), done.stderr


def test_project_in_another_folder(workspace, monkeypatch):
    Path("here").mkdir()
    write_params({})
    monkeypatch.chdir("here")
    assert "artifacts" in digits("--project", "..", "results").stderr
    nowhere = digits("--project", "nowhere", "results")
    assert (nowhere.returncode, nowhere.stderr.count("\n")) == (4, 1)
    assert nowhere.stderr.startswith("error: nowhere: No such file")
