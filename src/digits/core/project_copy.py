"""A copy of the project at a commit, for work that must not touch the project's own files."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from digits.core.errors import ServiceError, UsageError


def clone(root: Path, folder: Path, commit: str = "HEAD") -> None:
    """Clone the project's git repository at a commit into a new folder.

    The clone has branches, index and locks of its own, and reads the objects of the project's
    repository.

    Raises:
        UsageError: the project is no git repository, or has no such commit.
        ServiceError: git failed.
    """
    commit = git(root, "rev-parse", "--verify", f"{commit}^{{commit}}")
    git(root, "clone", "--quiet", "--shared", "--no-checkout", str(root), str(folder))
    git(folder, "checkout", "--quiet", "--detach", commit)


def share_dvc(root: Path, folder: Path) -> None:
    """Give a clone the DVC cache, the remotes and the local settings of the project."""
    from dvc.repo import Repo

    with Repo(str(root)) as origin:
        local = origin.config.read("local")
        local.setdefault("cache", {})["dir"] = origin.cache.local_cache_dir
        for remote, settings in origin.config["remote"].items():
            local.setdefault("remote", {}).setdefault(remote, {})["url"] = str(settings["url"])
    with Repo(str(folder)) as copy, copy.config.edit("local") as config:
        config.update(local)


def git(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> str:
    """Run a git command in a folder; returns what it printed.

    Raises:
        UsageError: the folder is no git repository, or has no such commit.
        ServiceError: git is not installed, or failed.
    """
    command = ["git", *arguments]
    try:
        done = subprocess.run(
            command, cwd=folder, env=env, capture_output=True, text=True, check=True
        )
    except FileNotFoundError:
        raise ServiceError("git: not found; a copy of the project needs it") from None
    except subprocess.CalledProcessError as error:
        reason = " ".join(error.stderr.split())
        if "not a git repository" in reason or "Needed a single revision" in reason:
            raise UsageError(f"{folder}: no git repository with this commit: {reason}") from None
        raise ServiceError(f"git {arguments[0]}: {reason}") from None
    return done.stdout.strip()
