"""The files in a folder that DVC versions: none in a linked folder, none that .dvcignore names."""

import os
from pathlib import Path
from typing import NamedTuple

from imageproof.base.errors import DataError
from imageproof.base.files import parsing


class Files(NamedTuple):
    """Paths inside a folder, hidden files included, sorted; `ignored` are those in .dvcignore."""

    versioned: list[str]
    ignored: list[str]

    @property
    def visible(self) -> list[str]:
        return [name for name in self.versioned if not is_hidden(name)]


def list_files(folder: Path) -> Files:
    """The files in a folder and in those within it, none if there is no folder.

    Links to files are followed, as DVC reads them. A DataError has a finding for each link to a
    folder, as DVC versions no file in it and sees no change there, and for each name that is no
    UTF-8, with which DVC fails.
    """
    from dvc.fs import localfs  # half a second; packages of models come without it
    from dvc.ignore import DvcIgnoreFilter

    if not folder.is_dir():
        return Files([], [])
    root = Path(os.path.normpath(folder.absolute()))  # of ../folder DVC gives other paths
    start = len(f"{root}/")
    repository = next((path for path in root.parents if (path / ".dvc").is_dir()), root.anchor)
    with parsing("a folder with .dvcignore", folder):
        patterns = DvcIgnoreFilter(localfs, str(repository))
        versioned = {path[start:] for path in patterns.find(localfs, str(root))}
        walked = [*os.walk(root, onerror=_refuse)]
    names = {f"{path}/{name}"[start:] for path, _, files in walked for name in files}
    folders = [f"{path}/{name}" for path, inner_folders, _ in walked for name in inner_folders]
    links = [
        path for path in folders if Path(path).is_symlink() and not patterns.is_ignored_dir(path)
    ]
    findings = [
        f"{folder}/{link[start:]}: is a link to a folder, whose files DVC does not version; "
        "put a copy in its place"
        for link in sorted(links)
    ]
    findings += [
        f"{folder}/{name}: its name is no UTF-8, so that DVC cannot version it; rename it"
        for name in sorted(versioned)
        if os.fsencode(name) != name.encode(errors="replace")
    ]
    if findings:
        raise DataError(*findings)
    return Files(sorted(versioned), sorted(names - versioned))


def is_hidden(name: str) -> bool:
    """Whether the file, or a folder that it lies in, has a name that begins with a dot."""
    return name.startswith(".") or "/." in name


def _refuse(error: OSError) -> None:
    raise error
