"""The package of a registered version: what lies in it, and that this is enough to serve it."""

import json
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from arena import EVEN, accept, fighter
from example import NAME, context
from helpers import finding, free_port, python
from packaged import altered, code, running

from imageproof.artifacts import WORKSPACE
from imageproof.base.errors import IntegrityError, UsageError
from imageproof.base.files import folder_sha256
from imageproof.cli import _answers as cli
from imageproof.registry import _promotion
from imageproof.registry._version import load_version
from imageproof.serve import _model
from imageproof.serve._package import write_package

OUT = Path("out/package")
CHALLENGER = f"models:/{NAME}/1"


@pytest.fixture
def champion(ring):
    """Of fewer classes than the hold-out has, as the version before it."""
    for pixels in ((), (EVEN,)):
        _promotion.promote(fighter(*pixels, classes=9), NAME, judge=accept)
    return f"models:/{NAME}/2"


def test_package_command(champion, capsys):
    Path("templates").mkdir()
    Path("templates/home.html").write_text("<h1>mine: $title</h1>")
    cli.package(context(), shadow=CHALLENGER, out=OUT)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{champion} → {OUT}: 1,797 hold-out rows get the model's")
    assert lines[1] == f"SHA-256 of the folder: {folder_sha256(OUT)}"
    assert [*OUT.parent.iterdir()] == [OUT]

    with load_version(champion, threads=1) as model, running(OUT, "--log", "log") as server:
        description = server.get("/model").json()
        assert description["model_sha256"] == model.origin.model_sha256
        # of 100 true classes with probabilities from 0.5 to 1, one may be missed
        assert description["confidence"] == {"coverage": 0.99, "threshold": pytest.approx(0.5)}
        assert server.get("/").text == f"<h1>mine: {NAME} 2</h1>"
    assert champion in (OUT / "MODEL_CARD.md").read_text("utf-8")
    assert json.loads((OUT / "shadow.json").read_bytes())["version"] == "1"
    assert "shadow.onnx" in (OUT / "SHA256SUMS").read_text()


def test_other_answers_or_rows_are_not_packaged(champion, monkeypatch):
    with load_version(champion, threads=1) as model:
        right = model.predict
        monkeypatch.setitem(model.__dict__, "predict", lambda x: right(x) + np.float32(1e-4))
        package = partial(write_package, model, OUT, coverage=0.99)
        line = finding(IntegrityError, package)
        assert "differ from the model's by up to 1.0e-04; nothing was written" in line
        assert [*OUT.parent.iterdir()] == []
        path = WORKSPACE.split("holdout")
        with path.open("ab") as file:
            file.write(b"0")
        assert finding(IntegrityError, package).startswith(f"{path}: md5 ")


def test_model_of_other_images_is_not_packaged(ring):
    _promotion.promote(fighter(), NAME, judge=accept)
    _promotion.promote(fighter(shape=(9, 9)), NAME, judge=accept)
    with (
        load_version(CHALLENGER, threads=1) as model,
        load_version(f"models:/{NAME}/2", threads=1) as larger,
    ):
        line = finding(UsageError, write_package, larger, OUT, coverage=0.99)
        assert line == f"models:/{NAME}/2: takes images (9, 9), the hold-out rows here are (8, 8)"
        line = finding(UsageError, write_package, model, OUT, coverage=0.99, challenger=larger)
        assert line.startswith(f"--shadow models:/{NAME}/2: has the shape (9, 9), ")


def test_folder_that_exists_is_refused_before_anything_is_read(tmp_path):
    package = tmp_path / "package"
    command = partial(cli.package, context(), out=package, kubernetes=True)
    for option, path in (("--kubernetes", tmp_path / "package-kubernetes"), ("--out", package)):
        path.mkdir()
        line = f"{option} {path}: exists; delete it, or choose another name"
        assert finding(UsageError, command) == line


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
