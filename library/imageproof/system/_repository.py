"""Git commands on the project's repository, its clones, and its remote `origin`."""

import os
import subprocess
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

from imageproof.base._addresses import public, without_credentials
from imageproof.base.errors import ImageproofError, ServiceError, UsageError
from imageproof.base.text import one_line


def git(folder: Path, *arguments: str, **options: str) -> str:
    """What git prints in a folder; UsageError without repository or commit, else ServiceError.

    It reads the option `text`; others are variables of its environment.
    """
    return _printed(folder, *arguments, **options).decode(errors="surrogateescape").strip()


def _printed(folder: Path, *arguments: str, text: str = "", **variables: str) -> bytes:
    env = os.environ | {"LC_ALL": "C"} | variables  # the errors are told apart by their text
    command = ["git", *arguments]
    try:
        return subprocess.run(
            command, cwd=folder, env=env, input=text.encode(), capture_output=True, check=True
        ).stdout
    except FileNotFoundError:
        raise ServiceError("git: not found") from None
    except subprocess.CalledProcessError as error:
        message = error.stderr.decode(errors="replace")
        reason = one_line(without_credentials(message), width=500)
        if "not a git repository" in reason:
            raise UsageError(f"{folder}: {reason}") from None
        if "Needed a single revision" in reason:
            raise UsageError(f"{folder}: git has no {arguments[-1]}: {reason}") from None
        raise ServiceError(f"git {arguments[0]}: {reason}") from None


def try_git(*arguments: str, failed: str = "") -> str:
    """What a git command prints in the current folder; `failed` if it fails."""
    try:
        return git(Path(), *arguments)
    except ImageproofError as error:
        if "safe.directory" in str(error):  # there is a commit, which no record would name
            raise
        return failed


def files_at(
    commit: str,
    path: Path,
    folder: Path = Path(),
) -> dict[Path, bytes]:
    """The content of a file, or of all files in a folder; empty if git lacks it.

    Links are followed to files, as DVC does, and nothing is converted.
    """
    try:
        listing = git(folder, "ls-tree", "-r", "-z", "--name-only", commit, "--", str(path))
    except ImageproofError:
        return {}
    names = listing.strip("\0").split("\0")
    objects = "".join(f"{commit}:./{name}\n" for name in names)
    content = BytesIO(_printed(folder, "cat-file", "--batch", "--follow-symlinks", text=objects))
    files = {}
    for name in names:
        *kind, size = content.readline().split()
        if size.isdigit():  # else there is none, as of a submodule
            data = content.read(int(size) + 1)[:-1]
            if b"blob" in kind:
                files[Path(name)] = data
    return files


def unshallow(folder: Path = Path()) -> str:
    """What to do if this clone has not all commits; empty if it has."""
    shallow = try_git("-C", str(folder), "rev-parse", "--is-shallow-repository") == "true"
    return "; this clone is shallow: `git fetch --unshallow` brings all commits" if shallow else ""


def clone(root: Path, folder: Path, commit: str) -> Path:
    """Clone the repository at a commit into a new folder, which reads its objects; as `git`.

    Returns where the folder `root` of the repository is in the clone.
    """
    top = git(root, "rev-parse", "--show-toplevel")
    git(root, "clone", "--quiet", "--shared", "--no-checkout", top, str(folder))
    git(folder, "checkout", "--quiet", "--detach", commit)
    return folder / git(root, "rev-parse", "--show-prefix")


def origin() -> str:
    """Git's remote `origin` without a password, of http without the user too; empty if none."""
    address = try_git("remote", "get-url", "origin")
    parts = urlsplit(address)
    if parts.scheme in ("http", "https"):
        return public(address)  # the user may be a token
    return address.replace(f":{parts.password}@", "@", 1) if parts.password else address
