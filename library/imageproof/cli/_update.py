"""The command `update`: replace library/ by that of another project, and keep one's own changes.

Each file is merged from three versions, as `git merge-file` does it: the base is library/ in the
commit of the other project from which this library came.
"""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from imageproof.base._naming import project_name
from imageproof.base.errors import DataError, UsageError
from imageproof.base.files import replacing, scratch, write_text
from imageproof.base.text import first_names
from imageproof.system._repository import files_at, git, unshallow

LIBRARY = Path("library")
TESTS = LIBRARY / "tests"  # a new project does not get them
# in the table [tool.imageproof] of pyproject.toml
COMMIT = re.compile(r'^commit = "([0-9a-f]{40})".*\n', re.MULTILINE)

Files = dict[Path, bytes]


class Update(NamedTuple):
    """What an update did: paths that changed, own changes kept, and files whose changes collide."""

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
    if git(root, "status", "--porcelain", "--", str(LIBRARY)):
        raise UsageError(f"{LIBRARY}: has changes that are not committed; commit them first")
    pyproject = root / "pyproject.toml"
    recorded = COMMIT.search(pyproject.read_text("utf-8"))
    if not recorded:
        raise UsageError(
            f"{pyproject.name}: [tool.imageproof] has no commit of library/, as `new` writes it"
        )
    base = library_at(source, recorded[1])
    commit = git(source, "rev-parse", "--verify", f"{revision}^{{commit}}")
    new = library_at(source, commit)
    files = library_at(root, "HEAD")
    result = Update(commit, [], [], [], sorted(_requirements(new) - _requirements(files)))
    merged = {}
    for path in sorted({*base, *new, *files}):
        contents = [version.get(path) for version in (files, base, new)]
        merged[path] = _merge(path, contents, result)
    for name in result.changed:
        write_file(root / name, merged[Path(name)])
    record_commit(pyproject, commit)
    return result


def library_at(repository: Path, commit: str) -> Files:
    """The files of library/ in a commit, without its tests; a UsageError if there are none."""
    files = files_at(commit, LIBRARY, repository)
    if not files:
        raise UsageError(
            f"{repository}: has no commit {commit[:12]} with {LIBRARY}/; "
            f"name the project that {LIBRARY}/ came from{unshallow(repository)}"
        )
    return {path: content for path, content in files.items() if TESTS not in path.parents}


def record_commit(pyproject: Path, commit: str) -> None:
    """Write into the table [tool.imageproof] of which commit library/ is."""
    line = f'commit = "{commit}" # library/ is that of this commit of the project it came from\n'
    text, count = COMMIT.subn(line, pyproject.read_text("utf-8"))
    if not count:
        text = text.replace("[tool.imageproof]\n", f"[tool.imageproof]\n{line}", 1)
    write_text(pyproject, text)


def _merge(path: Path, contents: list[bytes | None], result: Update) -> bytes | None:
    """The new content of a file; `contents` are its own, base and new, None without it."""
    content, base, new = contents
    is_mine = content not in (base, new)
    if is_mine:
        result.kept.append(str(path))
    if new in (base, content):
        return content
    if is_mine and (content is None or new is None):
        finding = "changed here, deleted there" if new is None else "deleted here, changed there"
        result.collided.append(f"{path}: {finding}; left as it is here")
        return content
    result.changed.append(str(path))
    return _merge_lines(path, contents, result) if is_mine else new


def _merge_lines(path: Path, contents: list[bytes | None], result: Update) -> bytes:
    """Both changes in one file, with markers where they collide."""
    labels = [option for label in (project_name(), "base", "update") for option in ("-L", label)]
    with scratch() as folder:
        versions = [folder / name for name in ("own", "base", "new")]
        for version, content in zip(versions, contents, strict=True):
            version.write_bytes(content or b"")
        command = ["git", "merge-file", "--stdout", *labels, *map(str, versions)]
        merge = subprocess.run(command, capture_output=True)
    if merge.returncode not in range(128):
        raise DataError(f"{path}: git cannot merge it: {merge.stderr.decode(errors='replace')}")
    if merge.returncode:
        result.collided.append(f"{path}: its changes collide with yours; mend it, then `git add`")
    return merge.stdout


def write_file(path: Path, content: bytes | None) -> None:
    """Write a file, or delete it if it has no content."""
    if content is None:
        path.unlink(missing_ok=True)
    else:
        with replacing(path) as temporary:
            temporary.write_bytes(content)


def _requirements(files: Files) -> set[str]:
    text = files[LIBRARY / "pyproject.toml"].decode()
    project: dict[str, Any] = tomllib.loads(text)["project"]
    extras = project.get("optional-dependencies", {}).values()
    return {*project["dependencies"], *(line for lines in extras for line in lines)}


def lines(result: Update) -> list[str]:
    """What a person reads of an update, a line each."""
    library = f"{LIBRARY}/ is that of commit {result.commit[:12]}"
    if not result.changed:
        return [f"{library}: nothing changed"]
    report = [f"{library} now:", *(f"  {path}" for path in result.changed)]
    if result.kept:
        report.append(f"your changes were kept in {first_names(result.kept)}")
    if result.requirements:
        report.append(f"new requirements: {', '.join(result.requirements)}; `make lock` pins them")
    return [
        *report,
        "`dvc status` names the stages that depend on it",
        f"`git add {LIBRARY}` takes in new files; `git diff --staged` shows the changes",
    ]
