"""Workspaces: a run with overrides works in a copy of the project and leaves a DVC experiment."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.utils.serialize import modify_yaml
from filelock import FileLock, Timeout

from digits import params
from digits.core.errors import ServiceError, UsageError

# Below .dvc/tmp, as DVC's own experiments: neither git nor DVC looks there.
FOLDER = Path(".dvc/tmp/workspaces")
PROJECT_LOCK = Path(".dvc/tmp/flow.lock")

Overrides = Mapping[str, Any]


@contextmanager
def project_lock(root: Path, *, on_wait: Callable[[str], None]) -> Iterator[None]:
    """Runs without overrides work in the project's own folder, one after the other."""
    lock = FileLock(root / PROJECT_LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        on_wait("another run works in this folder: waiting for its end")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def workspace(root: Path, overrides: Overrides, *, name: str) -> Iterator[Path]:
    """A copy of the project as it is now, uncommitted changes included, with overrides applied.

    It has a git repository and DVC locks of its own and shares the DVC cache; it is removed
    at the end. What a killed process left is removed here too.

    Raises:
        UsageError: the project has no commit to start from.
        ServiceError: git or DVC failed.
    """
    _remove_abandoned(root)
    folder = root / FOLDER / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(_lock_path(folder)):
        try:
            _clone(root, folder)
            _share(root, folder)
            _override(folder, overrides)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    _lock_path(folder).unlink(missing_ok=True)


def experiment_name(root: Path, run_name: str, run_id: str) -> str:
    """The run's name as git takes it, with a part of the run's id where it is taken."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", run_name).strip("-")
    taken = _git(root, "for-each-ref", "--format=%(refname)", "refs/exps")
    if any(ref.endswith(f"/{name}") for ref in taken.splitlines()):
        return f"{name}-{run_id[:8]}"
    return name


def save_experiment(root: Path, folder: Path, name: str, targets: Sequence[str] | None) -> None:
    """Make the workspace's state a DVC experiment of the project: refs, no file is touched.

    Args:
        root: The project.
        folder: The workspace.
        name: Of the experiment.
        targets: What the run was asked for; other stages need not have outputs here.

    Raises:
        ServiceError: DVC or git failed.
    """
    try:
        with chdir(folder), Repo() as repo:
            repo.experiments.save(targets=targets, name=name, force=True)
    except DvcException as error:
        raise ServiceError(f"DVC: experiment {name} not saved: {error}") from None
    refs = _git(folder, "for-each-ref", "--format=%(refname)", "refs/exps")
    [ref] = [ref for ref in refs.splitlines() if ref.endswith(f"/{name}")]
    _git(root, "fetch", "--quiet", "--no-write-fetch-head", str(folder), f"{ref}:{ref}")


def _clone(root: Path, folder: Path) -> None:
    head = _git(root, "rev-parse", "HEAD")
    changes = _uncommitted(root)
    _git(root, "clone", "--quiet", "--shared", "--no-checkout", str(root), str(folder))
    _git(folder, "checkout", "--quiet", "--detach", head)
    if changes:
        _git(folder, "read-tree", "-u", "--reset", changes)
    lock = root / "dvc.lock"
    if lock.exists():  # also where git does not know it yet
        shutil.copyfile(lock, folder / "dvc.lock")


def _uncommitted(root: Path) -> str:
    """A commit of the uncommitted changes that stands on no branch; empty where there are none."""
    index = Path(_git(root, "rev-parse", "--absolute-git-dir")) / "index"
    with TemporaryDirectory() as folder:
        # git locks the index for this, and the user, or another run, may need theirs
        env = {**os.environ, "GIT_INDEX_FILE": shutil.copy(index, folder)}
        _git(root, "status", "--porcelain", env=env)  # `stash` fails on an index that is not fresh
        return _git(root, "stash", "create", env=env)


def _share(root: Path, folder: Path) -> None:
    """The project's cache and local settings, with its remotes as seen from the project."""
    with Repo(str(root)) as origin:
        local = origin.config.read("local")
        local.setdefault("cache", {})["dir"] = origin.cache.local_cache_dir
        for remote, settings in origin.config["remote"].items():
            local.setdefault("remote", {}).setdefault(remote, {})["url"] = str(settings["url"])
    with Repo(str(folder)) as copy, copy.config.edit("local") as config:
        config.update(local)


def _override(folder: Path, overrides: Overrides) -> None:
    """Write the overrides as `dvc exp run -S` does: comments and order stay."""
    with modify_yaml(str(folder / params.PATH)) as values:
        params.set_keys(values, overrides)


def _remove_abandoned(root: Path) -> None:
    for folder in (root / FOLDER).glob("*"):
        if not folder.is_dir():
            continue
        try:
            with FileLock(_lock_path(folder), timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
        except Timeout:
            continue


def _lock_path(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _git(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> str:
    command = ["git", *arguments]
    try:
        done = subprocess.run(
            command, cwd=folder, env=env, capture_output=True, text=True, check=True
        )
    except FileNotFoundError:
        raise ServiceError("git: not found; overrides need it") from None
    except subprocess.CalledProcessError as error:
        reason = " ".join(error.stderr.split())
        if "not a git repository" in reason or "ambiguous argument 'HEAD'" in reason:
            raise UsageError(f"{folder}: overrides need a git repository with a commit") from None
        raise ServiceError(f"git {arguments[0]}: {reason}") from None
    return done.stdout.strip()
