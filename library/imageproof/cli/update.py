"""The command `update`: replace library/ by that of another project, and keep one's own changes.

Each file is merged from three versions, as `git merge-file` does it: the base is library/ in the
commit of the other project from which this library came.
"""

import re
import subprocess
import tarfile
import tomllib
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from imageproof.base.errors import DataError, ImageproofError, UsageError
from imageproof.base.naming import project_name
from imageproof.base.text import first_names
from imageproof.system.repository import git

LIBRARY = "library"
TESTS = "library/tests"  # a new project does not get them
# in the table [tool.imageproof] of pyproject.toml
COMMIT = re.compile(r'^commit = "([0-9a-f]{40})".*\n', re.MULTILINE)


class Update(NamedTuple):
    """What an update did: paths that changed, own changes kept, and files with conflict markers."""

    commit: str
    changed: list[str]
    kept: list[str]
    collided: list[str]
    requirements: list[str]  # those that are new


def update(root: Path, source: Path, revision: str = "HEAD") -> Update:
    """Replace library/ of the project in `root` by that of a commit of another project.

    A UsageError if library/ has uncommitted changes, if pyproject.toml does not say from which
    commit library/ is, or if `source` lacks that commit.
    """
    if git(root, "status", "--porcelain", "--", LIBRARY):
        raise UsageError(f"{LIBRARY}: has changes that are not committed; commit them first")
    pyproject = root / "pyproject.toml"
    recorded = COMMIT.search(pyproject.read_text("utf-8"))
    if not recorded:
        raise UsageError(f"{pyproject.name}: [tool.imageproof] has no commit of library/")
    try:
        git(source, "cat-file", "-e", f"{recorded[1]}^{{commit}}")
    except ImageproofError:
        lacks = f"has no commit {recorded[1][:12]}, from which {LIBRARY}/ came"
        raise UsageError(f"{source}: {lacks}; name the project that it came from") from None
    commit = git(source, "rev-parse", "--verify", f"{revision}^{{commit}}")
    with TemporaryDirectory() as folder:
        base = export_library(source, recorded[1], Path(folder, "base"))
        new = export_library(source, commit, Path(folder, "new"))
        requirements = _requirements(new) - _requirements(root)
        result = _merged(root, base, new)
    record_commit(pyproject, commit)
    return Update(commit, *result, sorted(requirements))


def record_commit(pyproject: Path, commit: str) -> None:
    """Write into the table [tool.imageproof] of which commit library/ is."""
    table = "[tool.imageproof]\n"
    text = COMMIT.sub("", pyproject.read_text("utf-8"))
    line = f'commit = "{commit}" # library/ is that of this commit of the project it came from\n'
    pyproject.write_text(text.replace(table, table + line, 1), encoding="utf-8")


def export_library(repository: Path, commit: str, folder: Path) -> Path:
    """Write library/ of a commit, without its tests, into a folder; returns the folder."""
    archive = subprocess.run(
        ["git", "archive", commit, LIBRARY], cwd=repository, capture_output=True, check=False
    )
    if archive.returncode:
        raise UsageError(f"{repository}: has no {LIBRARY}/ in commit {commit[:12]}")
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as members:
        files = [
            member
            for member in members
            if member.isfile() and not member.name.startswith(f"{TESTS}/")
        ]
        members.extractall(folder, files, filter="data")
    return folder


def _merged(root: Path, base: Path, new: Path) -> tuple[list[str], list[str], list[str]]:
    changed: list[str] = []
    kept: list[str] = []
    collided: list[str] = []
    own_paths = git(root, "ls-files", "-z", "--", LIBRARY).split("\0")
    paths = {path for path in own_paths if path} | _paths(base) | _paths(new)
    for path in sorted(paths):
        texts = [_content(folder / path) for folder in (root, base, new)]
        own_text, base_text, new_text = texts
        is_mine = own_text not in (base_text, new_text)
        if is_mine:
            kept.append(path)
        if new_text in (base_text, own_text):
            continue
        changed.append(path)
        if not is_mine:
            _write(root / path, new_text)
        elif None in texts or _merge_file(root, base, new, path):
            collided.append(path)
    return changed, kept, collided


def _merge_file(root: Path, base: Path, new: Path, path: str) -> int:
    """Merge a file in place, with markers where the changes collide; how many do."""
    labels = [option for label in (project_name(), "base", "update") for option in ("-L", label)]
    files = [str((folder / path).resolve()) for folder in (root, base, new)]
    command = ["git", "merge-file", *labels, *files]
    merge = subprocess.run(command, check=False, capture_output=True)
    if merge.returncode not in range(128):
        raise DataError(f"{path}: git cannot merge it: {merge.stderr.decode(errors='replace')}")
    return merge.returncode


def _paths(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _write(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _requirements(root: Path) -> set[str]:
    path = root / LIBRARY / "pyproject.toml"
    project: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))["project"]
    extras = project.get("optional-dependencies", {}).values()
    return {*project["dependencies"], *(line for lines in extras for line in lines)}


def lines(result: Update) -> list[str]:
    """What a person reads of an update, a line each."""
    if not result.changed:
        return [f"{LIBRARY}/ is that of commit {result.commit[:12]}: nothing changed"]
    report = [f"{LIBRARY}/ is now that of commit {result.commit[:12]}:"]
    report += [f"  {path}" for path in result.changed]
    if result.kept:
        report.append(f"your changes were kept in {first_names(result.kept)}")
    if result.requirements:
        report.append(f"new requirements: {', '.join(result.requirements)}; `make lock` pins them")
    report.append("`dvc status` names the stages that depend on it; `git diff` shows the changes")
    return report
