"""`digits …`: quick to start, one line per error, an exit code for each kind."""

import os
import re
import signal
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from helpers import python
from support import write_params

from digits.project import main

EXPENSIVE = {
    *("tensorflow", "keras", "mlflow", "great_expectations", "pandas", "sklearn"),
    *("matplotlib", "scipy", "prefect", "dvc", "onnxruntime"),
}
STARTED = """
import sys, digits.project, digits.models.cnn, digits.stages.train, imageproof.base
import imageproof.artifacts, imageproof.cli.program, imageproof.diff._collect
import imageproof.diff._render
print(*sys.modules)
"""


def test_starting_loads_nothing_expensive():
    modules = {*python("-c", STARTED).stdout.split()}
    assert "imageproof.diff._render" in modules
    assert modules & EXPENSIVE == set()


@pytest.fixture
def digits(workspace, monkeypatch, capsys):
    """Runs the command in a folder with params.yaml: its exit code and what it prints."""
    write_params({})
    monkeypatch.setenv("DIGITS_DEBUG", "")
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # those of the tests stay

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["digits", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code, *capsys.readouterr()

    return run


def test_help_and_version(digits, monkeypatch):
    monkeypatch.setenv("IMAGEPROOF_NAME", "shoes")  # as in the folder of another project
    assert "Usage: digits [" in digits("-h")[1]
    assert digits("--version") == (0, f"{version('digits')}\n", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("rnu", "digits: No such command 'rnu'. Did you mean 'run'?; see `digits --help`"),
        ("promote mlp --exp=", "digits promote: give MODEL, --exp NAME MODEL, or --run ID"),
        ("promote a --approved-by --dry-run", "digits promote: Invalid value for '--approved-by': "
         "is missing, or begins with --; see `digits promote --help`"),
        ("predict a.png --explain b.jpg", "--explain b.jpg: is no .png; choose another name"),
        ("package --out=params.yaml/a",
         "--out params.yaml/a: is below a file; choose another name"),
        ("package --out .git/new", "--out .git/new: belongs to git or DVC; choose another name"),
    ],
)  # fmt: skip
def test_wrong_argument_is_one_line(digits, arguments, message):
    assert digits(*arguments.split()) == (2, "", f"error: {message}\n")


def test_folder_without_project_is_one_line(digits):
    Path("params.yaml").unlink()
    line = "error: params.yaml: not found; run from the project's folder\n"
    assert digits("diff", "HEAD~1") == (2, "", line)


def test_debug_adds_the_traceback(digits):
    line = "error: artifacts/compare/comparison.json: not found; `dvc repro` makes it\n"
    assert digits("results") == (3, "", line)
    code, _, text = digits("--debug", "results")
    assert (code, text.startswith("Traceback"), text.endswith(f"\n{line}")) == (3, True, True)


def test_names_from_a_file_are_shown_and_never_obeyed(digits):
    Path("m.csv").write_text(
        'p,"a\x1b[31m","é\nerror: [/b]"\n"a\x1b[31m",5,1\n"é\nerror: [/b]",2,6\n'
    )
    code = "from digits.project import main; main()"
    env = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = python("-c", code, "stats", "m.csv", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    code, record, errors = digits("stats", "m.csv", "--json")
    assert (code, record[:2], errors) == (0, "{\n", "")
    for text in (done.stdout, record):
        assert "a\\u001b[31m" in text
        assert "0.785" in text  # 11 of 14
        assert not re.search(r"\x1b|\nerror", text)


def test_command_of_project_stands_beside_the_others(tmp_path):
    program = """
from imageproof.project import Application
from imageproof.cli.program import cli

def hello(name: str) -> None:
    print("hello", name)

cli(Application(load=None, trainer=None, commands=[hello]))
"""
    done = python("-c", program, "hello", "you", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "hello you\n"), done.stderr


def test_project_in_another_folder(digits, monkeypatch):
    Path("here").mkdir()
    monkeypatch.chdir("here")
    assert "artifacts" in digits("--project", "..", "results")[2]
    line = "error: nowhere: No such file or directory (DIGITS_DEBUG=1 shows more)\n"
    assert digits("--project", "nowhere", "results") == (4, "", line)
