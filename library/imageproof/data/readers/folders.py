"""Where pictures lie: in a folder per class, or as the table labels.csv says; not their pixels."""

import os
import re
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from shlex import quote
from typing import NamedTuple

import pandas as pd

from imageproof.base.dataset import differ_in_case, spelled
from imageproof.base.errors import DataError
from imageproof.base.files import parsing
from imageproof.base.text import first_names, printable
from imageproof.data.packed import META
from imageproof.data.readers.corrections import FILE as CORRECTIONS
from imageproof.data.readers.table import read_table
from imageproof.data.readers.versioned import Files, is_hidden, list_files
from imageproof.pictures.reading import is_picture

TABLE = "labels.csv"
COLUMNS = ["file", "label"]  # of it; there may be more
ARRAY = rb"\0\0|PK|\x1f\x8b|(\xef\xbb\xbf)?\"?label\"?,\"?pixel"  # as `read_raw` reads
NO_PICTURE = "no picture of a class"
MAX_TABLE = 200_000_000  # bytes
BYTES = "binary[pyarrow]"  # of a million paths or hashes; objects take ten times the memory


class Listing(NamedTuple):
    """Pictures in the order of their names, or of the table.

    `rows` has the columns part (train or test), label (a name), path (bytes), file (the path inside
    the data's folder, printable), and `meta_…` for each further column of the table.
    """

    rows: pd.DataFrame
    warnings: list[str]


def list_pictures(folder: Path) -> Listing | None:
    """The pictures in `<class>/`, in `{train,test}/<class>/`, or in labels.csv; None without any.

    Hidden files are ignored, and what DVC does not version; a warning counts what else is left out.
    A DataError has a finding for each row of the table that is wrong, for each class whose pictures
    lie in folders within its own, and for each of `list_files`.
    """
    table = folder / TABLE
    files = list_files(folder)
    if TABLE in files.versioned:
        with parsing("a table of pictures", table), table.open("rb") as file:
            if not re.match(ARRAY, file.read(100)):
                return _of_table(folder, files)
    return _of_folders(folder, [name for name in files.versioned if not is_hidden(name)])


def names_in_order(found: Sequence[str]) -> list[str]:
    """Names of classes, sorted; as numbers if they are such."""
    return sorted(found, key=int if all(name.isdecimal() for name in found) else None)


def _of_folders(folder: Path, names: Sequence[str]) -> Listing | None:
    in_parts = any(re.match(r"train/.*/", name) and is_picture(name) for name in names)
    depth = 2 if in_parts else 1  # of the folder of a class
    pictures: dict[str, list[str]] = {}  # by that folder
    deeper: dict[str, list[str]] = {}
    unread: list[str] = []
    for name in names:
        *folders, _ = name.split("/")
        is_outside = in_parts and folders[:1] not in (["train"], ["test"])
        if len(folders) >= depth and is_picture(name) and not is_outside:
            homes = deeper if len(folders) > depth else pictures
            homes.setdefault("/".join(folders[:depth]), []).append(name)
        elif name != CORRECTIONS and not name.endswith(".dvc"):
            unread.append(name)
    _check_depth(folder, pictures, deeper)
    if not pictures:
        return None
    unread += chain.from_iterable(deeper.values())
    tables = []
    for home in sorted(pictures, key=lambda home: (home.startswith("test/"), home)):
        part, _, label = home.rpartition("/")
        table = _table(folder, pictures[home])
        tables.append(table.assign(part=part or "train", label=_shown(spelled(label))))
    rows = pd.concat(tables, ignore_index=True)
    return Listing(rows, [*left_out(folder, unread, NO_PICTURE), *_twins(folder, rows["file"])])


def _check_depth(
    folder: Path, pictures: Mapping[str, Sequence[str]], deeper: Mapping[str, Sequence[str]]
) -> None:
    """Raise a DataError for classes all of whose pictures lie in folders within their own."""
    findings = []
    for home in sorted(deeper.keys() - pictures.keys()):
        path = folder / home
        what = f"{path}: has {len(deeper[home]):,} pictures, all in folders within it"
        mend = "move them into it, or name each in labels.csv"
        if not pictures and len(deeper) == 1:
            mend = f"move these up: mv {quote(str(path))}/* {quote(str(path.parent))}"
        findings.append(f"{what}, as {_shown(deeper[home][0])}; {mend}")
    if findings:
        raise DataError(*findings)


def _of_table(folder: Path, files: Files) -> Listing:
    table = folder / TABLE
    frame = read_table(table, COLUMNS, max_bytes=MAX_TABLE)
    names = frame.pop("file").tolist()
    frame = frame.apply(lambda values: values.map({v: spelled(v) for v in values.unique()}))
    _check_case(table, frame)
    findings: list[str] = []
    lines: dict[str, int] = {}  # by path without `./`, in the order of the table
    versioned, ignored = ({*paths} for paths in files)
    for line, name, label in zip(frame.index, names, frame["label"], strict=True):
        parts = name.split("/")
        path = "/".join(part for part in parts if part not in ("", "."))
        if name.startswith("/") or ".." in parts:
            findings.append(f"{table}:{line}: {name}: leads out of {folder}")
        elif path in lines:
            findings.append(f"{table}:{line}: {name}: stands in line {lines[path]}, too")
        elif path not in versioned:
            why = ", as .dvcignore leaves it out" if path in ignored else ""
            findings.append(f"{table}:{line}: {name}: not found{why}")
        elif not label:
            findings.append(f"{table}:{line}: {name}: has no label")
        lines[path] = line
    if findings or frame.empty:
        raise DataError(*findings or [f"{table}: names no picture"])
    pictures = (name for name in files.versioned if is_picture(name) and not is_hidden(name))
    unread = [name for name in pictures if name not in lines]
    rows = frame.reset_index(drop=True)
    rows.columns = [name if name in COLUMNS else META + name for name in frame]
    rows = rows.assign(part="train", **_table(folder, [*lines]))
    return Listing(rows, [*left_out(folder, unread, NO_PICTURE), *_twins(folder, rows["file"])])


def _check_case(table: Path, frame: pd.DataFrame) -> None:
    """Raise a DataError if values of a column differ only in case, unless each occurs once."""
    for column in frame.columns.difference(COLUMNS):
        counts = frame[column].value_counts()
        alike = differ_in_case(counts.index)
        if counts[alike].max() > 1:
            what = f"{first_names(alike)} differ only in case; spell each in one way"
            raise DataError(f"{table}: column {column}: {what}")


def _table(folder: Path, names: Sequence[str]) -> pd.DataFrame:
    paths = pd.Series([os.fsencode(f"{folder}/{name}") for name in names], dtype=BYTES)
    return pd.DataFrame({"path": paths, "file": [*map(_shown, names)]})


def _shown(name: str) -> str:
    # a name that is no UTF-8 cannot be written into Parquet
    return printable(name.encode(errors="surrogateescape").decode(errors="backslashreplace"))


def _twins(folder: Path, names: "pd.Series[str]") -> list[str]:
    alike = differ_in_case(names)
    found = f"{len(alike)} names differ only in case, and are one file on some systems"
    return [f"{folder}: {found}: {first_names(alike)}"] if alike else []


def left_out(folder: Path, names: Sequence[str], why: str) -> list[str]:
    """A warning that counts files which are not read, if there are any."""
    paths = first_names([*map(_shown, sorted(names))])
    return [f"{folder}: left out, as {why}: {len(names):,} ({paths})"] if names else []
