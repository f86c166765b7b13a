"""Workspaces: a run with overrides works in a copy of the project and leaves a DVC experiment."""

import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, chdir, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.utils.serialize import modify_yaml
from filelock import FileLock, Timeout
from prefect import get_run_logger

from digits import params
from digits.core.checkout import share_dvc
from digits.core.errors import ServiceError
from digits.core.files import scratch
from digits.core.pipeline import PROJECT_LOCK
from digits.core.provenance import ARTIFACTS
from digits.core.repository import clone, git

# Below .dvc/tmp, as DVC's own experiments: neither git nor DVC looks there.
FOLDER = Path(".dvc/tmp/workspaces")


def project_lock(root: Path) -> AbstractContextManager[object]:
    """Lock the project's folder; runs without overrides take turns in it."""
    lock = FileLock(root / PROJECT_LOCK)
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        get_run_logger().info("another run works in this folder: waiting for its end")
        return lock.acquire()


@contextmanager
def workspace(root: Path, overrides: Mapping[str, Any]) -> Iterator[Path]:
    """Copy the project as it is now, uncommitted changes included, and apply the overrides.

    The copy has a git repository and DVC locks of its own, shares the DVC cache, and is removed
    after the block. Copies that a killed process left are removed first.

    Raises:
        UsageError: the project has no commit.
        ServiceError: git or DVC failed.
    """
    (root / FOLDER).mkdir(parents=True, exist_ok=True)
    with scratch(root / FOLDER) as folder:
        clone(root, folder)
        if changes := _uncommitted(root):
            git(folder, "read-tree", "-u", "--reset", changes)
        with suppress(FileNotFoundError):  # copied also where git does not know it yet
            shutil.copyfile(root / "dvc.lock", folder / "dvc.lock")
        share_dvc(root, folder)
        with modify_yaml(str(folder / params.PATH)) as values:  # keeps comments and order
            params.set_keys(values, overrides)
        yield folder


def experiment_name(root: Path, run_name: str, run_id: str, *, shared: bool) -> str:
    """The run's name without its parameters, in characters that git allows.

    The run's id is added if the name is taken here, or if it is `shared` with others.
    """
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", run_name.split(": ")[0]).strip("-")
    taken = git(root, "for-each-ref", "--format=%(refname)", "refs/exps")
    if shared or any(ref.endswith(f"/{name}") for ref in taken.splitlines()):
        return f"{name}-{run_id[:8]}"
    return name


def save_experiment(root: Path, folder: Path, name: str, targets: Sequence[str]) -> str:
    """Save the workspace's state as a DVC experiment of the project: adds refs, changes no file.

    Returns its git ref.

    Args:
        root: The project.
        folder: The workspace.
        name: Of the experiment.
        targets: The stages that ran, none for all; others need not have outputs here.

    Raises:
        ServiceError: DVC or git failed.
    """
    # DVC adds new metrics, but no other new output that git is to keep
    new = git(folder, "ls-files", "--others", "--exclude-standard", "--", str(ARTIFACTS))
    try:
        with chdir(folder), Repo() as repo:
            repo.experiments.save(
                list(targets) or None, name=name, force=True, include_untracked=new.splitlines()
            )
    except DvcException as error:
        raise ServiceError(f"DVC: experiment {name} not saved: {error}") from None
    refs = git(folder, "for-each-ref", "--format=%(refname)", "refs/exps")
    [ref] = [ref for ref in refs.splitlines() if ref.endswith(f"/{name}")]
    git(root, "fetch", "--quiet", "--no-write-fetch-head", str(folder), f"{ref}:{ref}")
    return ref


def _uncommitted(root: Path) -> str:
    """A commit of the uncommitted changes, on no branch; empty if there are none."""
    index = Path(git(root, "rev-parse", "--absolute-git-dir")) / "index"
    with TemporaryDirectory() as folder:
        # git locks the index for this, and the user, or another run, may need theirs
        env = {**os.environ, "GIT_INDEX_FILE": shutil.copy(index, folder)}
        git(root, "status", "--porcelain", env=env)  # `stash` fails on an index that is not fresh
        return git(root, "stash", "create", env=env)
