"""What lies in a package, that it is enough, and that other files are not served."""

import json
import os
import re
import subprocess
import sys

import pytest
from helpers import finding, free_port, python
from packaged import altered, code

from imageproof.base.errors import IntegrityError
from imageproof.serve import _model

# Loads the model as the server does, where only the distributions that are named are installed.
ALONE = """
import re, sys
from importlib.abc import MetaPathFinder
from importlib.metadata import packages_distributions
from pathlib import Path

DISTRIBUTIONS = packages_distributions()
NAMES = {*sys.argv[1:]}

class OnlyThese(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        names = DISTRIBUTIONS.get(name.partition(".")[0], ["imageproof"])
        names = {re.sub("[-_.]+", "-", name).lower() for name in names}
        if not names & {"imageproof", *NAMES}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, OnlyThese())
from imageproof.serve import _command
_command.load(Path())
print(_command.__file__)
import pandas
"""


def pinned(package, name):
    """The distributions that a file of requirements pins; each by hash."""
    text = (package.folder / name).read_text()
    pins = [pin for pin in re.split(r"\n(?=\S)", text.strip()) if not pin.startswith(("#", "-r"))]
    assert all("--hash=sha256:" in pin for pin in pins)
    return {*re.findall(r"^([\w.-]+)==", text, re.M)}


def test_package_starts_with_its_requirements_alone(package):
    names = pinned(package, "requirements.txt")
    environment = os.environ | code(package.folder)
    assert not names & {"tensorflow", "keras", "mlflow", "dvc", "prefect", "pandas", "pyarrow"}
    done = python("-c", ALONE, *names, cwd=package.folder, env=environment)
    assert done.stdout.startswith(environment["PYTHONPATH"]), done.stderr
    assert done.stderr.splitlines()[-1] == "ModuleNotFoundError: pandas"
    assert pinned(package, "requirements-log.txt") == {"pyarrow"}


def test_sha256sum_finds_all_files(package):
    command = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    subprocess.run(command, cwd=package.folder, check=True)
    lines = (package.folder / "SHA256SUMS").read_text().splitlines()
    files = {str(path.relative_to(package.folder)) for path in package.folder.rglob("*")}
    assert {line.split("  ")[1] for line in lines} == files - {"SHA256SUMS"}


@pytest.fixture
def folder(package, tmp_path):
    """A copy of the package, and beside its files those that may be there."""
    folder = altered(package, tmp_path / "package", {})
    for name in (".venv", "log"):
        (folder / name).mkdir()
        (folder / name / "any").touch()
    _model.load(folder)
    return folder


def test_other_files_are_not_served(folder):
    (folder / "model.onnx").write_bytes(b"")
    line = finding(IntegrityError, _model.load, folder)
    assert line.startswith(f"{folder}/model.onnx: is not the file")
    (folder / "SHA256SUMS").unlink()
    line = finding(IntegrityError, _model.load, folder)
    assert line.startswith(f"{folder}/SHA256SUMS: does not list model.onnx; start the service in ")


@pytest.mark.parametrize("options", [["-m"], ["-P", "-m"]])
def test_file_that_is_not_listed_never_runs(folder, options):
    name = "imageproof.py" if "-P" in options else "orjson.py"  # without, Python begins with it
    (folder / name).write_text("print('this ran')")
    done = python(*options, "imageproof.serve", cwd=folder, env=code(folder))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (7, "", 1)
    assert done.stderr.startswith(f"error: {name}: is not in SHA256SUMS; delete it")


def test_dockerfile_healthcheck(package, server):
    dockerfile = (package.folder / "Dockerfile").read_text()
    assert f"FROM python:{sys.version_info[0]}.{sys.version_info[1]}-slim\n" in dockerfile
    health = re.search(r"^HEALTHCHECK .*\\\n +CMD (\[.*\])$", dockerfile, re.MULTILINE)
    _, option, script = json.loads(health[1])
    for port, status in ((server.port, 0), (free_port(), 1)):
        env = os.environ | {"http_proxy": f"http://127.0.0.1:{free_port()}", "no_proxy": ""}
        assert python(option, script.replace("8000", str(port)), env=env).returncode == status
