"""What a stage depends on, and whether it changed while the stage ran.

DVC hashes the inputs of a stage when its command has ended. An edit meanwhile would be recorded as
what the results come from, and reach others by the run cache.
"""

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from imageproof.base.errors import IntegrityError
from imageproof.base.files import flatten, md5, read_yaml, text_sha256
from imageproof.base.text import first_names
from imageproof.dvc.params_yaml import PATH, get_by_path, read

PIPELINE = Path("dvc.yaml")
IGNORE = ".dvcignore"  # DVC reads it anew when it hashes
MOST_BYTES = 128 << 20  # hashed at the start, in a quarter of a second
BYTES_PER_FILE = 10_000  # that are hashed in the time in which a file is opened


class _Inputs(NamedTuple):
    params: dict[str, Any]  # by name, such as `params.yaml seed`
    stats: dict[Path, tuple[int, ...]]  # of each file: bytes, and when it was changed


class _Started(NamedTuple):
    stage: str
    inputs: _Inputs
    md5s: dict[Path, str]


_started: _Started | None = None


def begin(stage: str) -> None:
    """Note what a stage depends on, for `check_inputs`."""
    global _started
    inputs = _read_inputs(stage)
    md5s: dict[Path, str] = {}
    rest = MOST_BYTES
    for path in sorted(inputs.stats, key=inputs.stats.__getitem__):  # the smallest first
        rest -= BYTES_PER_FILE + inputs.stats[path][0]
        if rest < 0:
            break
        md5s[path] = md5(path)
    _started = _Started(stage, inputs, md5s)


def check_inputs() -> None:
    """Raise an IntegrityError if what the stage depends on is not as it was at `begin`.

    A file of the same size with other times is hashed, so to touch files, or to switch branches
    there and back, is no change; of more bytes than MOST_BYTES the largest files are not hashed,
    and such a file counts as changed. Not noticed: an edit that was taken back before the end, and
    one after this check, while DVC hashes.
    """
    if _started is None:
        return
    stage, start, md5s = _started
    end = _read_inputs(stage)
    names = _differing(start.params, end.params)
    names += [
        str(path)
        for path in _differing(start.stats, end.stats)
        if path not in md5s or path not in end.stats or md5(path) != md5s[path]
    ]
    if names:
        raise IntegrityError(
            f"{first_names(sorted(names))} changed while the stage ran, so nothing is recorded; "
            f"`dvc repro {stage}` runs it with what is there now"
        )


def forget(folder: Path) -> None:
    """Check no file of a folder that the stage itself deletes."""
    if _started:
        stats = _started.inputs.stats
        for path in [path for path in stats if path.is_relative_to(folder)]:
            del stats[path]


def _read_inputs(stage: str) -> _Inputs:
    """What a stage depends on, as it is now."""
    sections = listed(stage)
    values = read()
    keys = [key for key, file_keys in sections["params"].items() if not file_keys]
    files = {IGNORE} | sections["deps"].keys() | sections["params"].keys() - {*keys}
    params = {f"{PATH} {key}": get_by_path(values, key) for key in keys}
    return _Inputs(flatten(params), _stats(map(Path, files)))


def listed(stage: str) -> dict[str, dict[str, Any]]:
    """What dvc.yaml lists for a stage such as `train@mlp`: by section, the settings by entry."""
    name, _, item = stage.partition("@")
    block = read_yaml(PIPELINE)["stages"].get(name, {})
    matrix = block.get("matrix", {})
    parts = item.split("-", max(0, len(matrix) - 1))  # as DVC joins them
    variables = {**read(), "item": dict(zip(matrix, parts, strict=False))}

    def resolved(text: str) -> str:
        return re.sub(r"\$\{([\w.]+)\}", lambda match: str(get_by_path(variables, match[1])), text)

    sections: dict[str, dict[str, Any]] = {}
    for section in ("params", "deps", "outs", "metrics", "plots"):
        entries = [e if isinstance(e, dict) else {e: {}} for e in block.get(section, [])]
        sections[section] = {
            resolved(text): settings for entry in entries for text, settings in entry.items()
        }
    return sections


def hash_deps(stage: str) -> dict[str, str]:
    """A hash of each file and folder that dvc.yaml lists for a stage, even if it is missing."""
    hashes = {}
    for dep in listed(stage)["deps"]:
        md5s = {str(path): md5(path) for path in _stats([Path(dep)])}
        hashes[dep] = text_sha256(repr(md5s))
    return hashes


def _stats(deps: Iterable[Path]) -> dict[Path, tuple[int, ...]]:
    stats: dict[Path, tuple[int, ...]] = {}
    for path in chain.from_iterable(map(_files, deps)):
        with suppress(FileNotFoundError):
            stat = path.stat()
            stats[path] = (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    return stats


def _files(dep: Path) -> list[Path]:
    """The file, or those in the folder, without other hidden ones and what Python compiles."""
    if not dep.is_dir():
        return [dep]
    return [
        Path(folder, name)
        for folder, _, names in os.walk(dep)
        for name in names
        if name == IGNORE or not (name.startswith(".") or folder.endswith("__pycache__"))
    ]


def _differing(start: dict[Any, Any], end: dict[Any, Any]) -> list[Any]:
    return [key for key in start | end if start.get(key) != end.get(key)]
