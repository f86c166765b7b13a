"""`make` on machines that lack something: the line that names it, and when .venv is made anew."""

import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from itertools import chain

import grimp
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from support import REPOSITORY, STAMPED

TOOLS = "awk cat cksum cp df dirname git grep id make mkdir paste rm sed sh tr uname"
COPIED = ("Makefile", "environment.sh", *STAMPED)
PROJECT, LIBRARY = (
    tomllib.loads((REPOSITORY / path).read_text("utf-8")) for path in STAMPED if "pyproject" in path
)
# Answers as the Python of this version does, and installs nothing.
PYTHON = """#!/bin/sh
case "$2" in
    *version_info*) echo {version} ;;
    *ensurepip*) exit {lacks} ;;
    install) [ "$3 $4" = "--python .venv/bin/python" ] ;;
    venv) mkdir -p .venv/bin && cp "$0" .venv/bin/python && cp "$0" .venv/bin/uv ;;
esac
"""


class Machine:
    """A project and the programs of a machine, which has no Python."""

    def __init__(self, folder):
        self.project = folder / "project"
        self.bin = folder / "bin"
        self.bin.mkdir()
        (self.project / "library").mkdir(parents=True)
        for name in COPIED:
            shutil.copy(REPOSITORY / name, self.project / name)
        for name in TOOLS.split():
            (self.bin / name).symlink_to(shutil.which(name))
        subprocess.run(["git", "init", "--quiet"], cwd=self.project, check=True)

    def program(self, name, text=""):
        (self.bin / name).unlink(missing_ok=True)
        (self.bin / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.bin / name).chmod(0o755)

    def python(self, version, name=None, *, lacks=0):
        self.program(name or f"python{version}", PYTHON.format(version=version, lacks=lacks))

    def make(self, *arguments, **environment):
        return subprocess.run(
            [self.bin / "make", ".venv/.done", *arguments],
            cwd=self.project,
            env={"PATH": str(self.bin), "HOME": str(self.bin), **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def refusal(self, *arguments, **environment):
        """The one line with which `make` fails, without make's own."""
        done = self.make(*arguments, **environment)
        [line, of_make] = done.stderr.splitlines()
        assert "Error 4" in of_make
        return line.removeprefix("error: ")

    def made(self, *arguments):
        """The version of the environment that `make` made; empty if it kept the one it had."""
        done = self.make(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.partition("with Python ")[2].partition(" ")[0]


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_no_python(machine):
    machine.python("3.10", "python3")
    machine.program("python3.13", "exit 127")  # pyenv's, of a version that is not chosen
    machine.program("uname", "echo Darwin")
    none = "Python: none of 3.11 3.12 3.13 is on the PATH: "
    assert machine.refusal() == f"{none}brew install python@3.13"
    machine.program("uname", "echo Linux")
    machine.program("id", "echo 1000")
    machine.program("apt-get")
    machine.program("apt-cache", 'test "$2" = python3.12-venv && echo Package: "$2"')
    assert machine.refusal() == f"{none}sudo apt-get install python3.12-venv"
    machine.program("uv")
    assert machine.refusal() == f"{none}uv python install 3.13"


def test_no_module_venv(machine):
    machine.python("3.12", lacks=1)
    machine.program("apt-get")
    machine.program("id", "echo 0")
    assert machine.refusal() == (
        "Python 3.12: has no module venv or ensurepip: apt-get install python3.12-venv"
    )
    machine.python("3.13")
    assert machine.made() == "3.13"


@pytest.mark.slow
def test_no_network(machine):
    settings = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0"}
    line = machine.refusal(f"PYTHON={sys.executable}", **settings)
    assert line.startswith("PyPI: cannot be reached (.venv/install.log says why);")


def test_environment_is_made_anew_where_needed(machine):
    for version in ("3.11", "3.13"):
        machine.python(version)
    machine.program("awk", "exit 1")
    assert machine.make().returncode != 0
    machine.program("awk", "echo 9999999")
    assert [machine.made(), machine.made(), machine.made("PYTHON=python3.11")] == ["3.11", "", ""]
    assert [machine.made("PYTHON=python3.13"), machine.made()] == ["3.13", ""]
    with (machine.project / "pyproject.toml").open("a") as file:
        file.write("\n")
    assert machine.made() == "3.13"


def required(table):
    """What a pyproject.toml asks for, with its extras."""
    extras = table["project"]["optional-dependencies"].values()
    return [*chain(table["project"]["dependencies"], *extras)]


@pytest.mark.parametrize(("name", "table"), [("imageproof", LIBRARY), ("digits", PROJECT)])
def test_imported_packages_are_declared(name, table):
    graph = grimp.build_graph(name, include_external_packages=True, cache_dir=None)
    providers = packages_distributions()
    imported = graph.modules & providers.keys()
    assert "pydantic" in imported
    declared = {canonicalize_name(Requirement(line).name) for line in required(table)}
    undeclared = [m for m in imported if declared.isdisjoint(map(canonicalize_name, providers[m]))]
    assert undeclared == []


GROUPS = PROJECT["dependency-groups"] | LIBRARY["dependency-groups"]
INSTALLED = [*required(PROJECT), *required(LIBRARY)]
INSTALLED += [line for name in ("dev", "docs", "test") for line in GROUPS[name]]


@pytest.mark.parametrize(
    ("lock", "lines"),
    [
        ("requirements.lock", INSTALLED),
        *((f"library/requirements-{name}.lock", GROUPS[name]) for name in ("serve", "serve-log")),
    ],
)
def test_lock_holds_what_pyproject_asks_for(lock, lines):
    text = (REPOSITORY / lock).read_text("utf-8")
    versions = dict(re.findall(r"^([\w.-]+)(?:\[.+\])?==(\S+)", text, re.MULTILINE))
    asked_for = [r for r in map(Requirement, lines) if r.name != "imageproof"]
    wrong = [r for r in asked_for if versions[canonicalize_name(r.name)] not in r.specifier]
    assert wrong == []
