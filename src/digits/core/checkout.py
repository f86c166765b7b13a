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
from base64 import b64encode
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import unquote, urlsplit

from filelock import FileLock
from packaging.markers import Marker
from packaging.requirements import Requirement

from digits.core import provenance
from digits.core.addresses import public
from digits.core.errors import DigitsError, ServiceError, UsageError, one_line
from digits.core.files import md5, scratch
from digits.core.provenance import git

FOLDER = Path(".state/code")
HOME = "DIGITS_HOME"  # environment variable
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
    address = address or provenance.git(home(), "remote", "get-url", "origin")
    repository = _repository(commit, address)
    provenance.clone(repository, folder, commit)
    git(folder, "remote", "set-url", "origin", shown(address))
    _share_dvc(folder)


def origin(root: Path) -> str:
    """Git's remote `origin` of `root`: its address without credentials; empty if none is set."""
    try:
        return shown(git(root, "remote", "get-url", "origin"))
    except DigitsError:
        return ""


def find_commit(name: str, address: str) -> str:
    """The whole hash of a commit that is named by it, or by a branch or tag of a git repository.

    Raises:
        UsageError: the repository has no such branch or tag.
        ServiceError: git failed.
    """
    if re.fullmatch(r"[0-9a-f]{40}", name):
        return name
    refs = (f"refs/heads/{name}", f"refs/tags/{name}", f"refs/tags/{name}^{{}}")
    listed = git(Path(), "ls-remote", shown(address), *refs, env=with_credentials(address))
    # git also lists refs that only end so, such as a branch `x/refs/heads/main`
    commits = {ref: commit for commit, ref in map(str.split, listed.splitlines())}
    found = [commits[ref] for ref in refs if ref in commits]
    if not found:
        raise UsageError(
            f"commit {name}: {shown(address)} has no such branch or tag; a commit is named by all "
            "40 characters of its hash"
        )
    return found[-1]  # of an annotated tag, its commit


def push(root: Path, *refs: str) -> None:
    """`git push` from the repository in `root` to its remote `origin`; changes no file.

    Raises:
        ServiceError: git failed, or `origin` has something else of this name.
    """
    address = git(root, "remote", "get-url", "--push", "origin")
    git(root, "push", "--quiet", shown(address), *refs, env=with_credentials(address))


def python_for(folder: Path) -> Path:
    """The Python whose packages are those of requirements.lock in a folder of `check_out`.

    This one, unless packages differ; then one that `environment.sh` of that commit makes, once
    for each content of the lock: about a minute, 1 GB to download and 5 GB of disk.

    Raises:
        ServiceError: it could not be made.
    """
    lock = folder / provenance.LOCK
    if not lock.exists() or _fits(folder):
        return Path(sys.executable)
    place = home() / FOLDER / "environments" / md5(lock)
    with _locked(f"environment-{place.name}"):
        if not place.exists():
            place.parent.mkdir(exist_ok=True)
            with scratch(place.parent) as temporary:
                provenance.clone(folder, temporary / "project")
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
        for line in package_differences(folder / provenance.LOCK)
    )


def _repository(commit: str, address: str) -> Path:
    """A bare repository in `home()` that has the commit; asks `address` only if it lacks it."""
    repository = home() / FOLDER / "repository"
    with _locked("repository"):
        if not repository.exists():
            with scratch(repository.parent) as temporary:
                git(temporary, "init", "--quiet", "--bare", "repository")
                # clones of a commit read its objects, also of one that no branch holds any more
                git(temporary / "repository", "config", "gc.auto", "0")
                (temporary / "repository").rename(repository)
        try:
            git(repository, "cat-file", "-e", f"{commit}^{{commit}}")
        except DigitsError:
            _fetch(repository, commit, address)
    return repository


def _fetch(repository: Path, commit: str, address: str) -> None:
    # `+refs/heads/*`: later commands ask for commits of other branches
    wanted = ("+refs/heads/*:refs/heads/*", f"{commit}:refs/commits/{commit}")
    try:
        git(repository, "fetch", "--quiet", shown(address), *wanted, env=with_credentials(address))
    except ServiceError as error:
        if "not our ref" in str(error) or "no such remote ref" in str(error).lower():
            raise UsageError(
                f"commit {commit}: {shown(address)} does not have it; `git push` brings it there"
            ) from None
        raise


def shown(address: str) -> str:
    """The address of a git repository as it may be stored and shown: without what is secret.

    Of http addresses the user goes, too: it may be a token.
    """
    parts = urlsplit(address)
    if parts.scheme in ("http", "https"):
        return public(address)
    return address.replace(f":{parts.password}@", "@", 1) if parts.password else address


def with_credentials(address: str) -> dict[str, str]:
    """An environment in which git sends the credentials of the address to `shown(address)`.

    On git's command line every user of the machine could read them.
    """
    env = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}  # a worker has nobody to ask
    parts, place = urlsplit(address), shown(address)
    if not parts.username or parts.scheme not in ("http", "https"):
        return env
    user, password = unquote(parts.username), unquote(parts.password or "")
    if password:
        login = b64encode(f"{user}:{password}".encode()).decode()
        settings = {f"http.{place}.extraHeader": f"Authorization: Basic {login}"}
    else:  # the user's own helpers are asked first; a token needs no password
        empty = "!f() { echo password=; }; f"
        settings = {f"credential.{place}.username": user, f"credential.{place}.helper": empty}
    first = int(env.get("GIT_CONFIG_COUNT") or 0)
    for number, (key, value) in enumerate(settings.items(), first):
        env |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return env | {"GIT_CONFIG_COUNT": str(first + len(settings))}


def _share_dvc(folder: Path) -> None:
    from dvc.repo import Repo

    if (home() / ".dvc").is_dir():
        provenance.share_dvc(home(), folder)
        return
    (folder / provenance.LOCAL_SETTINGS).touch(mode=0o600)
    with Repo(str(folder)) as copy, copy.config.edit("local") as config:
        config.setdefault("cache", {})["dir"] = str(home() / FOLDER / "cache")


def _locked(name: str) -> FileLock:
    folder = home() / FOLDER / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / name)
