"""`digits …`: quick to start, one line per error, an exit code for each kind."""

import os
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest
from support import REPOSITORY, python, write_params

COMMANDS = [
    *("run", "results", "restore", "stats", "summary", "diff"),
    *("promote", "rollback", "history", "trace", "reproduce", "predict", "score", "monitor"),
    *("demo", "serve", "package", "suspects", "relabel", "update", "adapt"),
]


def digits(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    code = "import sys; from digits.project import main; sys.argv[0] = 'digits'; main()"
    return python("-c", code, *arguments, env=os.environ | environment)


def test_help_names_every_command() -> None:
    done = digits("-h")
    assert (done.returncode, done.stderr) == (0, "")
    assert all(f" {command} " in done.stdout for command in COMMANDS)


def test_version_and_usage() -> None:
    done = digits("--version")
    assert (done.returncode, done.stdout) == (0, f"{version('digits')}\n")
    done = digits()
    assert done.returncode == 2
    assert "Usage: digits" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("nosuch", "digits: No such command 'nosuch'; see `digits --help`"),
        ("rnu", "digits: No such command 'rnu'. Did you mean 'run'?; see `digits --help`"),
        ("promote mlp --exp=", "digits promote: give MODEL, --exp NAME MODEL, or --run ID"),
        ("stats", "digits stats: Missing argument 'MATRIX.csv'; see `digits stats --help`"),
        ("--debug", "digits: Missing command; see `digits --help`"),
        ("demo --port 99999", "digits demo: Invalid value for '--port': Input should be less than "
         "or equal to 65535; see `digits demo --help`"),
        ("promote mlp --reason --dry-run", "digits promote: --reason: its value is missing; "
         "--reason=--dry-run if that is its value"),
        ("package --out -h", "digits package: --out: its value is missing; --out=-h if that is its "
         "value"),
        ("predict a.png --explain b.jpg", "--explain b.jpg: is no .png; choose another name"),
        ("suspects --out=params.yaml", "--out params.yaml: is no .csv; choose another name"),
        ("package --out .git/new", "--out .git/new: belongs to git or DVC; choose another name"),
    ],
)  # fmt: skip
def test_wrong_argument_is_one_line(arguments: str, said: str) -> None:
    done = digits(*arguments.split())
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {said}\n")


@pytest.mark.parametrize("arguments", [("stats",), ("promote", "--exp", "x")])
def test_name_of_5000_characters_is_wrong_usage(workspace: Path, arguments: list[str]) -> None:
    shutil.copy(REPOSITORY / "params.yaml", ".")
    done = digits(*arguments, "n" * 5000)
    assert done.returncode in (2, 3)
    assert len(done.stderr) < 1100
    assert done.stderr.count("\n") == 1


def test_params_are_checked_before_anything_is_restored(workspace: Path) -> None:
    write_params({"seed": -1})
    done = digits("restore")
    assert done.returncode == 2
    assert done.stderr.startswith("error: params.yaml seed: -1: ")
    assert {path.name for path in workspace.iterdir()} == {"gx", "params.yaml"}


@pytest.mark.parametrize("arguments", ["results", "diff HEAD~1", "summary", "history"])
def test_folder_without_project_is_one_line(workspace: Path, arguments: str) -> None:
    done = digits(*arguments.split())
    line = "error: params.yaml: not found; run from the project's folder\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)


@pytest.mark.parametrize(
    ("path", "said"), [("none.csv", "not found"), (".", "is a folder; a file is allowed")]
)
def test_path_of_no_file_is_one_line(workspace: Path, path: str, said: str) -> None:
    done = digits("stats", path)
    assert (done.returncode, done.stderr) == (3, f"error: {path}: {said}\n")


def test_an_error_is_one_line_and_debug_adds_the_traceback(workspace: Path) -> None:
    shutil.copy(REPOSITORY / "params.yaml", ".")
    line = "error: artifacts/compare/comparison.json: not found; `dvc repro` makes it\n"
    done = digits("results")
    assert (done.returncode, done.stdout, done.stderr) == (3, "", line)
    done = digits("--debug", "results")
    assert done.returncode == 3
    assert "Traceback" in done.stderr
    assert done.stderr.endswith(f"\n{line}")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_names_from_a_file_are_shown_and_never_obeyed(workspace: Path, encoding: str) -> None:
    Path("m.csv").write_text(
        'p,"a\x1b[31m","é\nerror: [/b]"\n"a\x1b[31m",5,1\n"é\nerror: [/b]",2,6\n'
    )
    for options in ([], ["--json"]):
        done = digits("stats", "m.csv", *options, PYTHONIOENCODING=encoding)
        assert (done.returncode, done.stderr) == (0, "")
        assert "a\\u001b[31m" in done.stdout
        assert "\x1b" not in done.stdout
        assert not any(line.startswith("error") for line in done.stdout.splitlines())
        assert "0.785" in done.stdout  # 11 of 14
        assert done.stdout.startswith("{\n") == (options == ["--json"])


def test_command_of_project_stands_beside_the_others(tmp_path: Path) -> None:
    program = """
from imageproof.project import Application
from imageproof.cli.program import cli

def hello(name: str) -> None:
    print("hello", name)

cli(Application(load=None, networks=None, check_model=None, trainer=None, commands=[hello]))
"""
    done = python("-c", program, "hello", "you", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "hello you\n"), done.stderr


def test_project_in_another_folder(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    write_params({})
    code = "from digits.project import main; main()"
    arguments = ("--project", str(Path.cwd()), "results")
    done = python("-c", code, *arguments, cwd=tmp_path / "here")
    assert "artifacts" in done.stderr
    nowhere = python("-c", code, "--project", "nowhere", "results", cwd=tmp_path / "here")
    assert (nowhere.returncode, nowhere.stderr.count("\n")) == (4, 1)
    assert nowhere.stderr.startswith("error: nowhere: No such file")
