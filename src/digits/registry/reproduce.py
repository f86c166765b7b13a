"""Training once more what is recorded, elsewhere, and comparing the answers."""

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from digits.core import context
from digits.core.errors import IntegrityError, ServiceError
from digits.tracking import store


@dataclass(frozen=True, slots=True)
class Reproduction:
    """Two models on the same rows: rows on which they name the same class, and the largest
    difference of any probability, 0…1.
    """

    rows: int
    identical: int
    largest_difference: float

    def __str__(self) -> str:
        return (
            f"{self.identical:,} of {self.rows:,} predictions identical, "
            f"largest probability difference {self.largest_difference:g}"
        )


def compare(recorded: np.ndarray, repeated: np.ndarray) -> Reproduction:
    """Compare class probabilities float32 (n, classes) of the same rows."""
    same = recorded.argmax(axis=1) == repeated.argmax(axis=1)
    largest = float(np.abs(recorded.astype(np.float64) - repeated).max())
    return Reproduction(len(recorded), int(same.sum()), largest)


@contextmanager
def worktree(commit: str) -> Iterator[Path]:
    """A worktree of this repository at a commit, which is gone after the block.

    Raises:
        IntegrityError: the repository does not have the commit.
    """
    try:
        with store.scratch() as parent:
            folder = parent / "worktree"
            done = _called("git", "worktree", "add", "--detach", "--quiet", str(folder), commit)
            if done.returncode:
                reason = (done.stderr.strip().splitlines() or ["git failed"])[-1]
                raise IntegrityError(f"commit {commit}: cannot be checked out: {reason}")
            yield folder
    finally:
        _called("git", "worktree", "prune")


def package_differences(lock: Path) -> list[str]:
    """The packages that a lock file pins and that are installed in another version, or not."""
    differences = []
    for line in lock.read_text(encoding="utf-8").splitlines():
        name, pinned, number = line.split(";")[0].rstrip(" \\").partition("==")
        if pinned and (found := _installed(name.split("[")[0])) != number.strip():
            differences.append(f"{name} {number.strip()} recorded, {found or 'none'} here")
    return differences


def train_again(folder: Path, model: str, *, cache: Path) -> None:
    """Fetch the data and train one model in a worktree, from nothing and without any cache.

    The run is logged to a store of the worktree's own, and goes with it.

    Raises:
        IntegrityError: data or training failed.
        ServiceError: DVC cannot be started.
    """
    environment = context.environment()
    environment["PYTHONPATH"] = str(folder / "src")
    environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder / 'mlflow.db'}"
    for command in (
        ["cache", "dir", "--local", str(cache)],
        ["pull", "--quiet", "data.dvc"],
        ["repro", "--quiet", "--force", "--no-run-cache", "--no-commit", f"train@{model}"],
    ):
        _dvc(command, folder, environment)


def _dvc(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
    try:
        done = subprocess.run(
            [sys.executable, "-m", "dvc", *command], cwd=folder, env=environment, check=False
        )
    except OSError as error:
        raise ServiceError(f"dvc cannot be started: {error.strerror}") from None
    if done.returncode:
        raise IntegrityError(f"dvc {command[0]} failed in the worktree (exit {done.returncode})")


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _called(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, check=False)
