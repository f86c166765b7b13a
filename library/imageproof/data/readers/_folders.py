"""Where pictures lie: in a folder per class, or as the table labels.csv says; not their pixels."""

import os
import re
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pandas as pd

from imageproof.base._class_names import differ_in_case, spelled
from imageproof.base.errors import DataError
from imageproof.base.text import first_names, printable
from imageproof.data.packed import META
from imageproof.data.readers._table import read_table
from imageproof.data.readers._versioned import Files, list_files
from imageproof.data.readers.corrections import FILE as CORRECTIONS
from imageproof.pictures._reading import is_picture

TABLE = "labels.csv"
COLUMNS = ["file", "label"]  # of it; there may be more
BYTES = "binary[pyarrow]"  # of a million paths or hashes; objects take ten times the memory

Names = Sequence[str]  # paths inside the data's folder


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
    files = list_files(folder)
    if TABLE in files.versioned:
        return _in_table(folder, files)
    return _in_folders(folder, files.visible)


def left_out(folder: Path, names: Names, why: str) -> list[str]:
    """A warning that counts files which are not read, if there are any."""
    first = first_names(sorted(names))
    return [f"{folder}: left out, as {why}: {len(names):,} ({first})"] if names else []


def _in_folders(folder: Path, names: Names) -> Listing | None:
    has_parts = any(re.match(r"train/.*/", name) and is_picture(name) for name in names)
    pattern = r"((?:train|test)/[^/]+)/(.*/)?" if has_parts else r"([^/]+)/(.*/)?"
    pictures: dict[str, list[str]] = {}  # by the folder of their class
    deeper: dict[str, list[str]] = {}  # in folders within it
    unread: list[str] = []
    for name in names:
        match = re.match(pattern, name)
        if match and is_picture(name):
            class_folder, inner_folders = match.groups()
            folders = deeper if inner_folders else pictures
            folders.setdefault(class_folder, []).append(name)
        elif name != CORRECTIONS:
            unread.append(name)
    _check_depth(folder, pictures, deeper)
    if not pictures:
        return None

    tables = []
    for class_folder in sorted(pictures, key=lambda name: (name.startswith("test/"), name)):
        part, _, label = class_folder.rpartition("/")
        columns = {"part": part or "train", "label": spelled(label)}
        tables.append(_paths(folder, pictures[class_folder]).assign(**columns))
    unread += chain(*deeper.values())
    return Listing(
        pd.concat(tables, ignore_index=True), left_out(folder, unread, "no picture of a class")
    )


def _check_depth(
    folder: Path,
    pictures: Mapping[str, Names],
    deeper: Mapping[str, Names],
) -> None:
    """Raise a DataError for classes all of whose pictures lie in folders within their own."""
    findings = []
    for class_folder in sorted(deeper.keys() - pictures.keys()):
        mend = (
            "move them into it if it is a class (parts are called train and test), or name each "
            "in labels.csv"
        )
        if not pictures and len(deeper) == 1:
            mend = "move these folders up"
        findings.append(
            f"{folder / class_folder}: all its pictures are in folders within it, as "
            f"{deeper[class_folder][0]}; {mend}"
        )
    if findings:
        raise DataError(*findings)


def _in_table(folder: Path, files: Files) -> Listing:
    table = folder / TABLE
    rows = read_table(table, COLUMNS)
    names = rows.pop("file").tolist()
    rows = rows.apply(lambda values: values.map({v: spelled(v) for v in values.unique()}))
    _check_case(table, rows)

    versioned = {*files.versioned}
    ignored = {*files.ignored}
    findings: list[str] = []
    lines: dict[str, int] = {}  # by path without `./`, in the order of the table
    for line, name, label in zip(rows.index, names, rows["label"], strict=True):
        path = str(PurePosixPath(name))
        fault = ""
        if path in lines:
            fault = f"stands in line {lines[path]}, too"
        elif path not in versioned:
            fault = "not found" + ", as .dvcignore leaves it out" * (path in ignored)
        elif not label:
            fault = "has no label"
        if fault:
            findings.append(f"{table}:{line}: {name}: {fault}")
        lines[path] = line
    if findings or rows.empty:
        raise DataError(*findings or [f"{table}: names no picture"])

    rows.columns = [name if name in COLUMNS else META + name for name in rows]
    rows = rows.reset_index(drop=True).assign(part="train", **_paths(folder, [*lines]))
    pictures = [name for name in files.visible if name not in lines and is_picture(name)]
    return Listing(rows, left_out(folder, pictures, f"in no line of {TABLE}"))


def _check_case(table: Path, rows: pd.DataFrame) -> None:
    """Raise a DataError if values of a column differ only in case, unless each occurs once."""
    for column in rows.columns.difference(COLUMNS):
        counts = rows[column].value_counts()
        alike = differ_in_case(counts.index)
        if counts[alike].max() > 1:
            raise DataError(
                f"{table}: column {column}: {first_names(alike)} differ only in case; "
                "spell each in one way"
            )


def _paths(folder: Path, names: Names) -> pd.DataFrame:
    paths = pd.Series([os.fsencode(f"{folder}/{name}") for name in names], dtype=BYTES)
    return pd.DataFrame({"path": paths, "file": [*map(printable, names)]})
