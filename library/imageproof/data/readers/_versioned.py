"""The files in a folder that DVC versions: none in a linked folder, none that .dvcignore names."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pathspec import GitIgnoreSpec

from imageproof.base.errors import DataError
from imageproof.base.files import parsing

Rules = Sequence[tuple[int, Any]]  # characters of a path before what is matched; pattern


class Files(NamedTuple):
    """Paths inside a folder, hidden files included, sorted; `ignored` are those in .dvcignore."""

    versioned: list[str]
    ignored: list[str]


def list_files(folder: Path) -> Files:
    """The files in a folder and in those within it, none if there is no folder.

    Links to files are followed, as DVC reads them. A DataError has a finding for each link to a
    folder: DVC versions no file in it, and sees no change there.
    """
    files = Files([], [])
    links: list[str] = []
    if folder.is_dir():
        root = folder.absolute()
        _walk(root, f"{root}/", _rules(root.parent), files, links)  # in itself DVC allows none
    if links:
        findings = [
            f"{folder / name}: is a link to a folder, whose files DVC does not version; "
            "put a copy in its place"
            for name in sorted(links)
        ]
        raise DataError(*findings)
    return Files(*map(sorted, files))


def is_hidden(name: str) -> bool:
    """Whether the file, or a folder that it lies in, has a name that begins with a dot."""
    return name.startswith(".") or "/." in name


def _walk(
    folder: Path,
    start: str,
    rules: Rules,
    files: Files,
    links: list[str],
    *,
    ignored: bool = False,
) -> None:
    with parsing("a folder", folder):
        entries = [*os.scandir(folder)]
    for entry in entries:
        name = entry.path.removeprefix(start)
        is_folder = Path(entry.path).is_dir() if entry.is_symlink() else entry.is_dir()
        is_ignored = ignored or _is_ignored(entry.path, rules, is_folder=is_folder)
        if not is_folder:
            (files.ignored if is_ignored else files.versioned).append(name)
        elif not entry.is_symlink():
            _walk(Path(entry.path), start, rules, files, links, ignored=is_ignored)
        elif not is_ignored:
            links.append(name)


def _rules(folder: Path) -> Rules:
    """The rules in this folder and in those above it, from DVC's root on."""
    is_root = (folder / ".dvc").is_dir() or folder == folder.parent
    rules = [] if is_root else _rules(folder.parent)
    path = folder / ".dvcignore"
    with parsing("patterns of files", path):
        lines = path.read_text("utf-8").splitlines() if path.is_file() else []
        patterns = GitIgnoreSpec.from_lines(map(str.strip, lines)).patterns
    start = len(f"{folder / '_'}") - 1
    return [*rules, *((start, pattern) for pattern in patterns if pattern.include is not None)]


def _is_ignored(path: str, rules: Rules, *, is_folder: bool) -> bool:
    """The last rule that matches decides, as in DVC's `DvcIgnorePatterns`."""
    for start, pattern in reversed(rules):
        name = path[start:]
        if is_folder:
            matches = pattern.regex.match(name) or pattern.regex.match(f"{name}/")
        else:
            matches = not pattern.pattern.endswith("/") and pattern.regex.match(name)
        if matches:
            return bool(pattern.include)
    return False
