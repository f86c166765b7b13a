"""Where pictures lie: in a folder per class, or as the table labels.csv says; not their pixels."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pandas as pd

from imageproof.base.errors import DataError, printable, some
from imageproof.base.files import reading_as
from imageproof.base.pictures import is_picture
from imageproof.data.packed import META
from imageproof.data.readers.corrections import FILE as CORRECTIONS

TABLE = "labels.csv"
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

    Hidden files are ignored; a warning counts what else is left out. A DataError has a finding for
    each row of the table that is wrong.
    """
    table = folder / TABLE
    if table.is_file():
        with reading_as("a table of pictures", table), table.open("rb") as file:
            if re.match(rb"[^\0]*?(file|path|image|picture)", file.readline(1000), re.IGNORECASE):
                return _of_table(folder, table)
    return _of_folders(folder)


def names_in_order(found: Sequence[str]) -> list[str]:
    """Names of classes, sorted; as numbers if they are such."""
    return sorted(found, key=int if all(name.isdecimal() for name in found) else None)


def _of_folders(folder: Path) -> Listing | None:
    parts = {part: part for part in ("train", "test") if _inside(folder / part)[0]}
    parts = parts if "train" in parts else {"train": ""}
    folders, files = _inside(folder)
    others = [n for n in files if not n.endswith(".dvc") and n != CORRECTIONS]
    others += [name for name in folders if "" not in parts.values() and name not in parts]
    tables: list[pd.DataFrame] = []
    alike: list[str] = []
    for part, root in parts.items():
        for label in _inside(folder / root)[0]:
            home = str(PurePosixPath(root, label))
            inner, files = ([f"{home}/{n}" for n in names] for names in _inside(folder / home))
            pictures = [name for name in files if is_picture(name)]
            tables.append(_table(folder, pictures).assign(part=part, label=_shown(label)))
            alike += _same_but_for_case(tables[-1]["file"])
            others += [*inner, *(name for name in files if not is_picture(name))]
            others += [] if pictures else [home]
    if not any(map(len, tables)):
        return None
    rows = pd.concat(tables, ignore_index=True)
    if classes := _same_but_for_case(rows["label"].unique()):
        raise DataError(f"{folder}: {', '.join(classes)} differ only in case; rename or merge them")
    return Listing(rows, _left_out(folder, others) + _twins(folder, alike))


def _of_table(folder: Path, table: Path) -> Listing:
    if (size := table.stat().st_size) > MAX_TABLE:
        raise DataError(f"{table}: has {size:,} bytes; at most {MAX_TABLE:,} are allowed")
    frame = pd.read_csv(table, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    if [*frame.columns[:2]] != ["file", "label"]:
        raise DataError(
            f"{table}: begins with {', '.join(frame.columns[:2])}; file,label is needed"
        )
    findings: list[str] = []
    seen: dict[str, int] = {}  # by path without `./`, in the order of the table
    for line, name, label in zip(frame.index + 2, frame["file"], frame["label"], strict=True):
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            findings.append(f"{table}:{line}: {name}: leads out of {folder}")
        elif str(path) in seen:
            findings.append(f"{table}:{line}: {name}: stands in line {seen[str(path)]}, too")
        elif not (folder / path).is_file():
            findings.append(f"{table}:{line}: {name}: not found")
        elif not label.strip():
            findings.append(f"{table}:{line}: {name}: has no label")
        seen[str(path)] = line
    if findings or frame.empty:
        raise DataError(*findings or [f"{table}: names no picture"])
    pictures = (path for path in folder.rglob("[!.]*") if is_picture(path.name))
    others = [name for path in pictures if (name := str(path.relative_to(folder))) not in seen]
    rows = frame.apply(lambda values: values.str.strip())  # « Ann» is the writer «Ann»
    rows = rows.rename(columns=lambda name: name if name in ("file", "label") else META + name)
    rows = rows.assign(part="train", **_table(folder, [*seen]))
    return Listing(
        rows, _left_out(folder, others) + _twins(folder, _same_but_for_case(rows["file"]))
    )


def _table(folder: Path, names: Sequence[str]) -> pd.DataFrame:
    paths = pd.Series([os.fsencode(f"{folder}/{name}") for name in names], dtype=BYTES)
    return pd.DataFrame({"path": paths, "file": [*map(_shown, names)]})


def _inside(folder: Path) -> tuple[list[str], list[str]]:
    """Names of the folders and of the files that lie in a folder, sorted, without hidden ones."""
    if not folder.is_dir():
        return [], []
    _, folders, files = next(os.walk(folder), ("", [], []))  # nothing if it cannot be read
    shown = [sorted(n for n in names if not n.startswith(".")) for names in (folders, files)]
    return shown[0], shown[1]


def _shown(name: str) -> str:
    # a name that is no UTF-8 cannot be written into Parquet
    return printable(name.encode(errors="surrogateescape").decode(errors="backslashreplace"))


def _same_but_for_case(names: Iterable[str]) -> list[str]:
    often = Counter(name.casefold() for name in names)
    return [name for name in names if often[name.casefold()] > 1]


def _twins(folder: Path, alike: Sequence[str]) -> list[str]:
    found = f"{len(alike)} names differ only in case, and are one file on some systems"
    return [f"{folder}: {found}: {some(alike)}"] if alike else []


def _left_out(folder: Path, others: Sequence[str]) -> list[str]:
    names = some([*map(_shown, sorted(others))])
    said = f"{folder}: left out, as no picture of a class: {len(others)} ({names})"
    return [said] if others else []
