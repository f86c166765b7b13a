"""The project's code at a commit on any machine: cloned once, a folder per commit.

All of it lies in `home()`, so that a worker needs no folder of anybody else: the repository, the
commits, a DVC cache, and environments for commits whose requirements.lock differs from what is
installed here.
"""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from filelock import FileLock
from packaging.markers import Marker
from packaging.requirements import Requirement

from digits.core import repository
from digits.core.errors import DigitsError, ServiceError, UsageError, one_line
from digits.core.files import md5, scratch
from digits.core.provenance import LOCK
from digits.core.repository import git, shown, with_credentials

FOLDER = Path(".state/code")
HOME = "DIGITS_HOME"  # environment variable
LOCAL_SETTINGS = Path(".dvc/config.local")
_PINNED = re.compile(r"^([\w.-]+)(?:\[.*?\])?==([^\s;\\]+)(?: ; ([^\\\n]+))?", re.MULTILINE)


def home() -> Path:
    """The folder in which this machine keeps code and caches: DIGITS_HOME, or the current one."""
    return Path(os.environ.get(HOME) or ".").resolve()


def check_out(commit: str, address: str = "") -> Path:
    """The folder with the project's code at a commit; made if this machine does not have it.

    It is a clone whose remote `origin` is `address`, with the DVC cache and the settings of the
    project in `home()`, if there is one, else with a cache that all commits share.

    Args:
        commit: Its whole hash.
        address: Of the git repository; default: `origin` of the one in `home()`. Credentials in
            it are used, and neither stored nor shown.

    Raises:
        UsageError: no repository is named, or it does not have the commit.
        ServiceError: git failed.
    """
    folder = home() / FOLDER / commit
    with _locked(folder.name):
        if not folder.exists():
            with scratch(folder.parent) as temporary:
                clone(commit, address, temporary / "project")
                (temporary / "project").rename(folder)
    return folder


def clone(commit: str, address: str, folder: Path) -> None:
    """As `check_out`, into a new folder that is the caller's own."""
    address = address or git(home(), "remote", "get-url", "origin")
    repository.clone(_repository(commit, address), folder, commit)
    git(folder, "remote", "set-url", "origin", shown(address))
    if (home() / ".dvc").is_dir():
        share_dvc(home(), folder)
    else:
        _set_dvc(folder, {"cache": {"dir": str(home() / FOLDER / "cache")}})


def share_dvc(root: Path, folder: Path) -> None:
    """Give a clone the DVC cache, the remotes and the local settings of the project."""
    from dvc.repo import Repo

    with Repo(str(root)) as project:
        local = project.config.read("local")
        local.setdefault("cache", {})["dir"] = project.cache.local_cache_dir
        for remote, settings in project.config["remote"].items():
            local.setdefault("remote", {}).setdefault(remote, {})["url"] = str(settings["url"])
    _set_dvc(folder, local)


def python_for(folder: Path) -> Path:
    """The Python whose packages are those of requirements.lock in a folder of `check_out`.

    This one, unless packages differ; then one that `environment.sh` of that commit makes, once
    for each content of the lock: about a minute, 1 GB to download and 5 GB of disk.

    Raises:
        ServiceError: it could not be made.
    """
    lock = folder / LOCK
    if not lock.exists() or _fits(folder):
        return Path(sys.executable)
    place = home() / FOLDER / "environments" / md5(lock)
    with _locked(f"environment-{place.name}"):
        if not place.exists():
            place.parent.mkdir(exist_ok=True)
            with scratch(place.parent) as temporary:
                repository.clone(folder, temporary / "project")
                (temporary / "project").rename(place)
        command = ["sh", "environment.sh", sys.executable]
        made = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    if made.returncode:
        reason = one_line(made.stderr, width=500)
        raise ServiceError(f"environment of commit {folder.name}: {reason}")
    return place / ".venv" / "bin" / "python"


def package_differences(lock: Path) -> list[str]:
    """The packages pinned by a lock file that are installed in another version, or not at all.

    A package that the lock names for other platforms or Pythons only is no difference.
    """
    differences = []
    for name, pinned, marker in _PINNED.findall(lock.read_text(encoding="utf-8")):
        if marker and not Marker(marker).evaluate():
            continue
        try:
            installed = version(name)
        except PackageNotFoundError:
            installed = "none"
        if installed != pinned:
            differences.append(f"{name} {pinned} recorded, {installed} here")
    return differences


def environment(folder: Path) -> tuple[Path, dict[str, str]]:
    """The Python for a folder of `check_out`, and variables by which it runs that code."""
    python = python_for(folder)
    paths = (str(folder / "src"), str(folder), os.environ.get("PYTHONPATH", ""))
    return python, {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
    }


def _fits(folder: Path) -> bool:
    """Whether the packages here will do: none of another version, none of the required missing.

    The lock also names packages that only some users need.
    """
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    required = {Requirement(each).name for each in project["dependencies"]}
    return all(
        line.endswith(", none here") and line.split()[0] not in required
        for line in package_differences(folder / LOCK)
    )


def _repository(commit: str, address: str) -> Path:
    """A bare repository in `home()` that has the commit; asks `address` only if it lacks it."""
    bare = home() / FOLDER / "repository"
    with _locked("repository"):
        if not bare.exists():
            with scratch(bare.parent) as temporary:
                git(temporary, "init", "--quiet", "--bare", "repository")
                # clones of a commit read its objects, also of one that no branch holds any more
                git(temporary / "repository", "config", "gc.auto", "0")
                (temporary / "repository").rename(bare)
        try:
            git(bare, "cat-file", "-e", f"{commit}^{{commit}}")
        except DigitsError:
            _fetch(bare, commit, address)
    return bare


def _fetch(bare: Path, commit: str, address: str) -> None:
    # `+refs/heads/*`: later commands ask for commits of other branches
    wanted = ("+refs/heads/*:refs/heads/*", f"{commit}:refs/commits/{commit}")
    try:
        git(bare, "fetch", "--quiet", shown(address), *wanted, env=with_credentials(address))
    except ServiceError as error:
        if "not our ref" in str(error) or "no such remote ref" in str(error).lower():
            raise UsageError(
                f"commit {commit}: {shown(address)} does not have it; `git push` brings it there"
            ) from None
        raise


def _set_dvc(folder: Path, settings: Mapping[str, Any]) -> None:
    from dvc.repo import Repo

    (folder / LOCAL_SETTINGS).touch(mode=0o600)  # it may hold keys
    with Repo(str(folder)) as clone, clone.config.edit("local") as config:
        config.update(settings)


def _locked(name: str) -> FileLock:
    folder = home() / FOLDER / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / name)
