"""Workspaces: a run with overrides works in a copy of the project and leaves a DVC experiment."""

import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.utils.serialize import modify_yaml

from digits import params
from digits.core.errors import ServiceError
from digits.core.files import scratch
from digits.core.pipeline import share_dvc
from digits.core.provenance import ARTIFACTS
from digits.core.repository import clone, git

# Below .dvc/tmp, as DVC's own experiments: neither git nor DVC looks there.
FOLDER = Path(".dvc/tmp/workspaces")


@contextmanager
def workspace(root: Path, overrides: Mapping[str, Any]) -> Iterator[Path]:
    """Copy the project as it is now, uncommitted changes included, and apply the overrides.

    The copy has a git repository and DVC locks of its own, shares the DVC cache, and is removed
    after the block.

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


def experiment_name(run_name: str, run_id: str) -> str:
    """The flow run's name without its parameters, in characters that git allows, and its id."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", run_name.split(": ")[0]).strip("-")
    return f"{name}-{run_id[:8]}"


def save_experiment(root: Path, folder: Path, name: str, targets: Sequence[str]) -> None:
    """Save the workspace as a DVC experiment of the project: adds refs there, changes no file.

    `targets` are the stages that ran, none for all: others need not have outputs here.

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
    refs = "refs/exps/*:refs/exps/*"
    git(root, "fetch", "--quiet", "--no-write-fetch-head", str(folder), refs)


def _uncommitted(root: Path) -> str:
    """A commit of the uncommitted changes, on no branch; empty if there are none."""
    index = Path(git(root, "rev-parse", "--absolute-git-dir")) / "index"
    with TemporaryDirectory() as folder:
        # git locks the index for this, and the user, or another run, may need theirs
        env = {**os.environ, "GIT_INDEX_FILE": shutil.copy(index, folder)}
        git(root, "status", "--porcelain", env=env)  # `stash` fails on an index that is not fresh
        return git(root, "stash", "create", env=env)
