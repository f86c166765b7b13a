"""Training again what is recorded: the worktree, the params, the comparison."""

import subprocess
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from support import finding

from digits.core.errors import IntegrityError
from digits.registry.reproduce import compare, package_differences, worktree


@pytest.fixture
def repository(workspace):
    Path("file.txt").write_text("then", encoding="utf-8")
    for command in ("init -q", "add .", "-c user.name=t -c user.email=t@t commit -qm x"):
        subprocess.run(["git", *command.split()], check=True)
    Path("file.txt").write_text("now", encoding="utf-8")
    done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_worktree_holds_the_commit_and_leaves_nothing(repository):
    with worktree(repository) as folder:
        assert (folder / "file.txt").read_text("utf-8") == "then"
    assert not folder.parent.exists()
    listed = subprocess.run(["git", "worktree", "list"], capture_output=True, text=True, check=True)
    assert len(listed.stdout.splitlines()) == 1
    assert Path("file.txt").read_text("utf-8") == "now"


def test_an_unknown_commit_is_a_line(repository):
    line = finding(IntegrityError, lambda: worktree("0" * 40).__enter__())
    assert line.startswith(f"commit {'0' * 40}: cannot be checked out")


def test_packages_of_other_versions_are_named(tmp_path):
    lock = tmp_path / "requirements.lock"
    lock.write_text(
        f"# made by a tool\nnumpy=={version('numpy')} \\\n    --hash=sha256:0\n"
        "pandas==0.1 \\\n    --hash=sha256:0\nno-such-package==1.0\n",
        encoding="utf-8",
    )
    assert package_differences(lock) == [
        f"pandas 0.1 recorded, {version('pandas')} here",
        "no-such-package 1.0 recorded, none here",
    ]


def test_equal_predictions_are_said_to_be():
    chances = np.tile(np.array([[0.25, 0.75]], np.float32), (10_000, 1))
    assert str(compare(chances, chances)) == (
        "10,000 of 10,000 predictions identical, largest probability difference 0"
    )


def test_other_predictions_are_counted_and_measured():
    found = compare(
        np.array([[0.5, 0.5], [0.25, 0.75]], np.float32),
        np.array([[0.25, 0.75], [0.25, 0.75]], np.float32),
    )
    assert (found.identical, found.rows, found.largest_difference) == (1, 2, 0.25)
