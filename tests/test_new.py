"""`digits new`: a project of one's own, on pictures in 12 folders, from its data to an answer."""

import json
import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from clones import Clone
from helpers import finding
from PIL import Image
from support import REPOSITORY, link_environment

from imageproof.base.errors import ServiceError, UsageError
from imageproof.cli._new import DROPPED_LINES, LEFT_OUT, TESTS, _tracked, create, renamed
from imageproof.system._repository import git

RANDOM = np.random.default_rng(1)
PATTERNS = RANDOM.integers(0, 200, (12, 12, 12, 3))
NOISE = RANDOM.integers(0, 56, (300, 12, 12, 3))
IMAGES = (PATTERNS[np.arange(300) % 12] + NOISE).astype(np.uint8)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("Red-Shoes", "is no name for a project; 1 to 30 characters"),
        *((name, "is no name for a project") for name in ("lambda", "null")),
        *((name, "is used here") for name in ("numpy", "pillow", "retrain", "queue")),
        ("full", "exists and is no empty folder"),
        (REPOSITORY / "artifacts/boots", "within this repository; choose a folder outside"),
    ],
)
def test_new_refuses(path, message, tmp_path, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    (tmp_path / "full/shoes").mkdir(parents=True)
    assert message in finding(UsageError, create, tmp_path / path)
    assert [path.name for path in tmp_path.iterdir()] == ["full"]
    assert not Path("artifacts/boots").exists()


def test_new_is_made_from_a_repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "git repository" in finding(UsageError, create, Path("boots"))
    assert [*tmp_path.iterdir()] == []


def test_new_from_a_folder_of_a_larger_repository(tmp_path, monkeypatch):
    git(tmp_path, "clone", "--quiet", "--shared", "--no-checkout", str(REPOSITORY), ".")
    git(tmp_path, "read-tree", "--prefix=teams/digits/", "HEAD")
    git(tmp_path, "checkout-index", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "all")
    monkeypatch.chdir(tmp_path / "teams/digits")
    create(tmp_path / "boots")
    assert (tmp_path / "boots/README.md").read_text("utf-8").startswith("# boots\n")


def test_new_leaves_nothing_half_made(tmp_path, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr(sys, "executable", shutil.which("false"))  # in place of ruff
    assert finding(ServiceError, create, tmp_path / "boots").startswith("ruff check: ")
    assert [*tmp_path.iterdir()] == []


def test_renamed_keeps_case_and_images_of_tests():
    kept = "fewdigits digitstems"
    text = f"digits DigitsError DIGITS_DEBUG run_digits {kept}"
    assert renamed(text, "a1") == f"a1 A1Error A1_DEBUG run_a1 {kept}"


def test_no_common_word_is_renamed_and_no_sentence_cut():
    """Where lines are left out, whole sentences are."""
    words = r"letters and|significant|decimal|thousands of|two|[ x×]\d|real|scikit-learn's"
    paths = _tracked(REPOSITORY, ".", *(f":!{path}" for path in LEFT_OUT))
    for path in [*paths, *_tracked(REPOSITORY, *TESTS)]:
        text = (REPOSITORY / path).read_bytes().decode(errors="ignore")
        assert not re.search(rf"(?i)({words}) digits\b.*", text), path
        prose = re.sub(r"(?ms)^```.*?^```|^\|.*?\|$", "", text) if path.suffix == ".md" else ""
        for gone in DROPPED_LINES.finditer(prose):
            line_above = prose[: gone.start()].rstrip("\n").rpartition("\n")[2]
            for end in (line_above, gone[0].strip()):
                assert re.search(r"[.:)]$|^$|^- |^\S+$", end), (path, gone[0])


@pytest.fixture(scope="module")
def boots(tmp_path_factory):
    """Runs a command in a new project with data, which one environment has beside ours."""
    outer = tmp_path_factory.mktemp("new")  # a repository, too
    git(outer, "init", "--quiet")
    folder = outer / "Schuhe für Ödön"
    root = folder / "boots"
    installed = folder / "installed"
    clone = Clone(root)
    clone.environment["PYTHONPATH"] += f"{os.pathsep}{installed}"
    clone.environment["PATH"] = f"{installed}/bin{os.pathsep}{clone.environment['PATH']}"

    def run(*command, cwd=root):
        return clone.run(*command, cwd=cwd).stdout

    assert "dvc add data" in run("digits", "new", root, cwd=REPOSITORY)
    install = ("uv", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--offline")
    run(*install, "--target", installed, "--editable", root)
    link_environment(root)
    for number, image in enumerate(IMAGES):
        path = root / f"data/boot {number % 12}/{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    run("boots", "adapt", "--write")
    run("sed", "-i", "s/ epochs: 100$/ epochs: 40/", "params.yaml")  # these are easy
    run("dvc", "add", "--quiet", "data")
    run("git", "commit", "--quiet", "--all", "--message", "Our data")
    return run


@pytest.mark.slow
def test_new_project_has_no_word_of_ours(boots):
    # the library's tests take scikit-learn's digits
    names = boots("git", "ls-files")
    lines = names + boots("git", "grep", "-hIiE", "digits|mnist", "HEAD~1", "--", ":!NOTICE")
    assert re.findall(".*(?:digits|mnist).*", lines.replace("load_digits", ""), re.IGNORECASE) == []
    notice = boots("git", "show", "HEAD:NOTICE")
    assert notice.startswith("digits\nCopyright ")
    assert {line for line in notice.split() if "/NOTICE" in line} == {"backbones/NOTICE:"}
    assert "\n  method: hashed " in boots("git", "show", "HEAD:params.yaml")


@pytest.mark.slow
def test_new_project_from_data_to_answer(boots, tmp_path):
    boots("make", "run")
    boots("boots", "promote", "compact")
    boots("boots", "package", "--out", tmp_path / "package")
    Image.fromarray(IMAGES[7]).save(tmp_path / "seven.png")
    [answer] = json.loads(boots("boots", "predict", tmp_path / "seven.png", "--json"))["answers"]
    assert answer["predicted_name"] == "boot 7"
    assert "BOOTS_ALLOWED_HOSTS" in (tmp_path / "package" / "README.md").read_text("utf-8")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_new_project_passes_its_tests(boots):
    workflow = boots("git", "show", "HEAD:.github/workflows/ci.yml")
    [target] = re.findall(r"run: make (test\S*)$", workflow, re.M)
    boots("make", target)


@pytest.mark.slow
def test_new_project_in_our_environment_leaves_ours(boots):
    boots("pytest", "-q", "-m", "not slow", "library/tests/system/test_guard.py", cwd=REPOSITORY)
