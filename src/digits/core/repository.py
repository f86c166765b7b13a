"""Git commands on the project's repository, its clones, and its remote `origin`."""

import os
import re
import subprocess
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from digits.core.addresses import HIDDEN, public, without_credentials
from digits.core.errors import DigitsError, ServiceError, UsageError, one_line


def git(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> str:
    """Run a git command in a folder; returns what it printed.

    Raises:
        UsageError: the folder is no git repository, or has no such commit.
        ServiceError: git is not installed, or failed.
    """
    command = ["git", *arguments]
    english = {**(env or os.environ), "LC_ALL": "C"}  # the errors are told apart by their text
    try:
        done = subprocess.run(
            command, cwd=folder, env=english, capture_output=True, text=True, check=True
        )
    except FileNotFoundError:
        raise ServiceError("git: not found; a copy of the project needs it") from None
    except subprocess.CalledProcessError as error:
        reason = one_line(without_credentials(error.stderr), width=500)
        if "not a git repository" in reason or "Needed a single revision" in reason:
            raise UsageError(f"{folder}: no git repository with this commit: {reason}") from None
        raise ServiceError(f"git {arguments[0]}: {reason}") from None
    return done.stdout.strip()


def try_git(*arguments: str, failed: str = "") -> str:
    """What a git command prints in the current folder; `failed` if it fails."""
    try:
        return git(Path(), *arguments)
    except DigitsError:
        return failed


def has_commit(commit: str) -> bool:
    """Whether the repository here knows this commit."""
    return bool(try_git("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}"))


def file_at(revision: str, path: Path) -> str:
    """The text of a file in this folder at a git revision; empty if it does not exist there."""
    return try_git("show", "--end-of-options", f"{revision}:./{path}")


def clone(root: Path, folder: Path, commit: str = "HEAD") -> None:
    """Clone the project's git repository at a commit into a new folder, which reads its objects.

    Raises:
        UsageError, ServiceError: as `git`.
    """
    commit = git(root, "rev-parse", "--verify", f"{commit}^{{commit}}")
    git(root, "clone", "--quiet", "--shared", "--no-checkout", str(root), str(folder))
    git(folder, "checkout", "--quiet", "--detach", commit)


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


def origin(root: Path) -> str:
    """Git's remote `origin` of `root`: its address without credentials; empty if none is set."""
    try:
        return shown(git(root, "remote", "get-url", "origin"))
    except DigitsError:
        return ""


def code_address() -> str:
    """Where others get the code, without credentials: git's remote `origin`; empty if nowhere."""
    short = r"^[\w.-]+@([\w.-]+):(?!/)"  # git's form without a scheme
    address = public(re.sub(short, r"ssh://\1/", origin(Path())))
    return address if address.startswith(("http", "ssh")) and HIDDEN not in address else ""


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
