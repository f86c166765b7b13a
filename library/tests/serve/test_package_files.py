"""What lies in a package, that it is enough, and that other files are not served."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import finding, python
from packaged import Package, code, running

from imageproof.base.errors import IntegrityError
from imageproof.base.files import sha256
from imageproof.serve import model

PINNED = re.compile(r"^([\w.-]+)==", re.MULTILINE)

# Loads the model as the server does, where only the distributions that are named are installed.
ALONE = """
import re, sys
from importlib.abc import MetaPathFinder
from importlib.metadata import packages_distributions
from pathlib import Path

TOPS, NAMES = packages_distributions(), {*sys.argv[1:]}

class OnlyThese(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        of = TOPS.get(name.partition(".")[0])
        if name.partition(".")[0] != "imageproof" and of:
            if not NAMES & {re.sub("[-_.]+", "-", each).lower() for each in of}:
                raise ModuleNotFoundError(name)

sys.meta_path.insert(0, OnlyThese())
from imageproof.serve import command as main
main.load(Path())
print(main.__file__)
"""


def pinned(package: Package, name: str) -> set[str]:
    return {*PINNED.findall((package.folder / name).read_text())}


def test_package_starts_with_its_requirements_alone(package: Package) -> None:
    names, environment = pinned(package, "requirements.txt"), {**os.environ, **code(package.folder)}
    assert not names & {"tensorflow", "keras", "mlflow", "dvc", "prefect", "pandas", "pyarrow"}
    done = python("-c", ALONE, *names, cwd=package.folder, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(environment["PYTHONPATH"])
    done = python("-c", ALONE, *names - {"orjson"}, cwd=package.folder, env=environment)
    assert done.stderr.splitlines()[-1] == "ModuleNotFoundError: orjson"


def test_requirements_are_pinned_by_hash(package: Package) -> None:
    for name in ("requirements.txt", "requirements-log.txt"):
        text = (package.folder / name).read_text()
        pins = [p for p in re.split(r"\n(?=\S)", text.strip()) if not p.startswith(("#", "-r"))]
        assert all("--hash=sha256:" in pin for pin in pins)
    assert pinned(package, "requirements-log.txt") == {"pyarrow"}


def test_sha256sum_finds_all_files(package: Package) -> None:
    command = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    subprocess.run(command, cwd=package.folder, check=True)
    listed = {x.split("  ")[1] for x in (package.folder / "SHA256SUMS").read_text().splitlines()}
    files = {str(path.relative_to(package.folder)) for path in package.folder.rglob("*")}
    assert listed == files - {"SHA256SUMS"}


def drop_model(folder: Path) -> None:
    lines = (folder / "SHA256SUMS").read_text().splitlines(keepends=True)
    (folder / "SHA256SUMS").write_text("".join(x for x in lines if not x.endswith("model.onnx\n")))


def describe(**changes: object) -> Callable[[Path], object]:
    """Change model.json and its hash."""

    def change(folder: Path) -> None:
        path, sums = folder / "model.json", folder / "SHA256SUMS"
        before = sha256(path)
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
        sums.write_text(sums.read_text().replace(before, sha256(path)))

    return change


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda folder: (folder / "model.onnx").write_bytes(b""), "model.onnx: is not the file"),
        (lambda folder: (folder / "model.json").unlink(), "model.json: is not the file"),
        (lambda folder: (folder / "orjson.py").touch(), "orjson.py: is not in SHA256SUMS; delete"),
        (lambda folder: (folder / "more").mkdir(), "more: is not in SHA256SUMS; delete it"),
        (describe(shape=(9, 9)), "model.onnx: cannot be read as ONNX model: "),
        (describe(fit="odd"), "model.json: not as a stage writes it (fit: "),
        (describe(class_names=["a", "b"]), "10 classes, model.json names 2"),
        (drop_model, "SHA256SUMS: does not list model.onnx"),
        (lambda folder: (folder / "SHA256SUMS").unlink(), "SHA256SUMS: does not list model.onnx"),
    ],
)
def test_other_files_are_not_served(
    package: Package, tmp_path: Path, damage: Callable[[Path], object], says: str
) -> None:
    folder = tmp_path / "package"
    shutil.copytree(package.folder, folder)
    for beside in (".venv", "log"):
        (folder / beside).mkdir()
        (folder / beside / "any").touch()
    model.load(folder)
    damage(folder)
    assert says in finding(IntegrityError, lambda: model.load(folder))


def test_file_that_is_not_listed_never_runs(package: Package, tmp_path: Path) -> None:
    folder = tmp_path / "package"
    shutil.copytree(package.folder, folder)
    (folder / "orjson.py").write_text("print('this ran')")
    done = python("-m", "imageproof.serve", cwd=folder, env=code(folder))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (7, "", 1)
    assert done.stderr.startswith("error: orjson.py: is not ")


def test_dockerfile_healthcheck(package: Package) -> None:
    dockerfile = (package.folder / "Dockerfile").read_text()
    assert f"FROM python:{sys.version_info[0]}.{sys.version_info[1]}-slim\n" in dockerfile
    health = re.search(r"^HEALTHCHECK .*\\\n +CMD (\[.*\])$", dockerfile, re.MULTILINE)
    assert health
    _, *arguments = json.loads(health[1])
    with running(package.folder) as server:
        asked = [argument.replace("8000", str(server.port)) for argument in arguments]
        assert python(*asked).returncode == 0
    assert python(*asked).returncode == 1
