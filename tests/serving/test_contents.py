"""What lies in a package, and that it is enough."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from packaged import Package, running, write
from packaging.utils import canonicalize_name
from support import REPOSITORY, finding, python

from digits.core.dataset import Dataset
from digits.core.errors import IntegrityError, ServiceError
from digits.serving import contents, model
from digits.serving.check import largest_difference
from digits.serving.limits import MAX_BODY

PINNED = re.compile(r"^([\w.-]+)==", re.MULTILINE)

# Loads the model as the server does, where only the distributions that are named are installed.
ALONE = """
import json, re, sys
from importlib.abc import MetaPathFinder
from importlib.metadata import packages_distributions

TOPS = packages_distributions()
NAMES = {*sys.argv[1:]}

class OnlyThese(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        of = TOPS.get(name.partition(".")[0])
        if name.partition(".")[0] != "digits" and of:
            if not NAMES & {re.sub("[-_.]+", "-", each).lower() for each in of}:
                raise ModuleNotFoundError(name)

sys.meta_path.insert(0, OnlyThese())
from digits.serving import __main__ as main
main.model.load(main.FOLDER)
print(json.dumps([m.__file__ for n, m in sys.modules.items() if n.split(".")[0] == "digits"]))
"""


def pinned(package: Package, name: str) -> set[str]:
    return {canonicalize_name(x) for x in PINNED.findall((package.folder / name).read_text())}


def test_the_server_loads_its_own_code_and_what_is_required(package: Package) -> None:
    done = python("-c", ALONE, *pinned(package, "requirements.txt"), cwd=package.folder)
    assert done.returncode == 0, done.stderr
    copied = (package.folder / "digits").rglob("*.py")
    assert {*json.loads(done.stdout)} == {str(path) for path in copied}
    done = python("-c", ALONE, *pinned(package, "requirements-log.txt"), cwd=package.folder)
    assert done.stderr.splitlines()[-1].startswith("ModuleNotFoundError: ")


def test_requirements_are_few_and_pinned_by_hash(package: Package) -> None:
    text = (package.folder / "requirements.txt").read_text()
    for pin in re.split(r"\n(?=\S)", text.strip()):
        assert "--hash=sha256:" in pin
    names = pinned(package, "requirements.txt")
    assert {canonicalize_name(name) for name in contents.NEEDED} <= names
    assert not names & {"tensorflow", "keras", "mlflow", "onnx", "pandas", "scipy", "fastapi"}
    assert pinned(package, "requirements-log.txt") == {"pyarrow"}
    assert "pytest" in pinned(package, "requirements-test.txt")


@pytest.mark.slow
def test_pip_takes_the_requirements_as_they_are(package: Package) -> None:
    for name in ("requirements.txt", "requirements-log.txt", "requirements-test.txt"):
        done = python(
            *("-m", "uv", "pip", "install", "--offline", "--no-deps", "--dry-run"),
            *("--require-hashes", "-r", package.folder / name),
            env={**os.environ, "VIRTUAL_ENV": sys.prefix},
        )
        assert done.returncode == 0, done.stderr


def test_another_version_than_the_locks_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lock = tmp_path / "requirements.lock"
    text = (REPOSITORY / "requirements.lock").read_text("utf-8")
    lock.write_text(re.sub(r"^idna==\S+", "idna==1.0", text, flags=re.MULTILINE), "utf-8")
    monkeypatch.setattr(contents, "LOCK", lock)
    line = finding(ServiceError, lambda: contents.requirements(["idna"]))
    assert re.fullmatch(r"idna [\d.]+ is installed, .*requirements.lock has another .*", line)


def test_it_passes_its_own_tests(package: Package, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    shutil.copytree(package.folder, folder, ignore=shutil.ignore_patterns("__pycache__"))
    done = python("-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=folder)
    assert done.returncode == 0, done.stdout


def test_large_images_are_packaged_as_many_in_a_request_as_fit(
    tmp_path: Path, digits_8x8: Dataset
) -> None:
    images = np.kron(digits_8x8.images[:60], np.ones((20, 20), np.uint8))
    digits = Dataset(images, digits_8x8.labels[:60])
    package = write(tmp_path / "package", digits, shape=(160, 160))
    assert largest_difference(package.folder, package.images, package.probabilities) < 1e-6
    assert (package.folder / "expected.json").stat().st_size < MAX_BODY


def test_sha256sum_finds_all_files_unchanged(package: Package) -> None:
    command = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    subprocess.run(command, cwd=package.folder, check=True)
    listed = {x.split("  ")[1] for x in (package.folder / "SHA256SUMS").read_text().splitlines()}
    files = {p.relative_to(package.folder) for p in package.folder.rglob("*") if p.is_file()}
    assert listed == {str(p) for p in files if p.suffix != ".pyc"} - {"SHA256SUMS"}


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda folder: (folder / "model.onnx").write_bytes(b""), "model.onnx: is not the file"),
        (lambda folder: (folder / "model.json").unlink(), "model.json: is gone"),
        (lambda folder: (folder / "digits/core/guard.py").write_text(""), "guard.py: is not the"),
        (lambda folder: (folder / "SHA256SUMS").write_text(""), "SHA256SUMS: is empty"),
        (lambda folder: (folder / "SHA256SUMS").unlink(), "SHA256SUMS: is no list of hashes"),
    ],
)
def test_other_files_are_not_served(
    package: Package, tmp_path: Path, damage: Callable[[Path], object], says: str
) -> None:
    folder = tmp_path / "package"
    shutil.copytree(package.folder, folder)
    damage(folder)
    assert says in finding(IntegrityError, lambda: model.load(folder))


def test_the_comparison_finds_other_answers_and_a_server_that_does_not_start(
    package: Package, tmp_path: Path
) -> None:
    images, probabilities = package.images, package.probabilities
    assert largest_difference(package.folder, images, probabilities) < 1e-6
    shifted = probabilities + np.float32(1e-4)
    line = finding(IntegrityError, lambda: largest_difference(package.folder, images, shifted))
    assert "of 200 hold-out rows 0 get another class than from the model" in line
    mirrored = probabilities[:, ::-1]
    line = finding(IntegrityError, lambda: largest_difference(package.folder, images, mirrored))
    assert "of 200 hold-out rows 200 get another class" in line
    folder = tmp_path / "package"
    shutil.copytree(package.folder, folder)
    (folder / "model.onnx").write_bytes(b"")
    line = finding(IntegrityError, lambda: largest_difference(folder, images, probabilities))
    assert "its server does not start: error: " in line


def test_the_dockerfile_asks_a_healthy_server_and_notices_when_it_has_gone(
    package: Package,
) -> None:
    dockerfile = (package.folder / "Dockerfile").read_text()
    assert f"FROM python:{sys.version_info[0]}.{sys.version_info[1]}-slim\n" in dockerfile
    health = re.search(r"^HEALTHCHECK .*\\\n +CMD (\[.*\])$", dockerfile, re.MULTILINE)
    assert health
    _, *arguments = json.loads(health[1])
    with running(package.folder) as server:
        asked = [argument.replace("8000", str(server.port)) for argument in arguments]
        assert python(*asked).returncode == 0
    assert python(*asked).returncode == 1
