"""Where pictures lie: in a folder per class, or as the table labels.csv says; not their pixels."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pandas as pd

from digits.data.packed import META
from digits.data.readers.corrections import FILE as CORRECTIONS
from digits.toolkit.errors import DataError, printable
from digits.toolkit.files import reading_as
from digits.toolkit.pictures import is_picture

TABLE = "labels.csv"
MAX_TABLE = 200_000_000  # bytes
NAMED = 3  # files, of those that a warning counts


class Listing(NamedTuple):
    """Pictures in the order of their names, or of the table.

    `rows` has the columns part (train or test), label (a name), path, file (the path inside the
    data's folder, printable), and `meta_…` for each further column of the table.
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
            if file.read(100).removeprefix(b"\xef\xbb\xbf").startswith(b"file,"):
                return _of_table(folder, table)
    return _of_folders(folder)


def names_in_order(found: Sequence[str]) -> list[str]:
    """Names of classes, sorted; as numbers if they are such."""
    return sorted(found, key=int if all(name.isdecimal() for name in found) else None)


def _of_folders(folder: Path) -> Listing | None:
    parts = {part: folder / part for part in ("train", "test") if _folders(folder / part)}
    parts = parts if "train" in parts else {"train": folder}
    rows: list[tuple[str, str, Path, str]] = []
    others = [p for p in _files(folder) if p.suffix != ".dvc" and p.name != CORRECTIONS]
    for part, root in parts.items():
        for home in _folders(root):
            found = _files(home)
            pictures = [path for path in found if is_picture(path.name)]
            rows += [(part, home.name, path, _shown(path, folder)) for path in pictures]
            others += [*set(found).difference(pictures), *_folders(home)]
            others += [] if pictures else [home]
    if not rows:
        return None
    frame = pd.DataFrame(rows, columns=["part", "label", "path", "file"])
    if len(alike := _same_but_for_case([*frame["label"].unique()])) > 1:
        raise DataError(f"{folder}: {', '.join(alike)} differ only in case; rename or merge them")
    return Listing(frame, _left_out(folder, others) + _twins(folder, [*frame["file"]]))


def _of_table(folder: Path, table: Path) -> Listing:
    if (size := table.stat().st_size) > MAX_TABLE:
        raise DataError(f"{table}: has {size:,} bytes; at most {MAX_TABLE:,} are allowed")
    frame = pd.read_csv(table, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    if [*frame.columns[:2]] != ["file", "label"]:
        raise DataError(
            f"{table}: begins with {', '.join(frame.columns[:2])}; file,label is needed"
        )
    findings: list[str] = []
    seen: dict[str, int] = {}
    for line, name, label in zip(frame.index + 2, frame["file"], frame["label"], strict=True):
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            findings.append(f"{table}:{line}: {name}: leads out of {folder}")
        elif name in seen:
            findings.append(f"{table}:{line}: {name}: stands in line {seen[name]}, too")
        elif not (folder / path).is_file():
            findings.append(f"{table}:{line}: {name}: not found")
        elif not label.strip():
            findings.append(f"{table}:{line}: {name}: has no label")
        seen[name] = line
    if findings or frame.empty:
        raise DataError(*findings or [f"{table}: names no picture"])
    paths = [folder / name for name in frame["file"]]
    named = {*paths}
    pictures = (path for path in folder.rglob("[!.]*") if is_picture(path.name))
    others = [path for path in pictures if path not in named]
    rows = frame.apply(lambda values: values.str.strip())  # « Ann» is the writer «Ann»
    rows = rows.rename(columns=lambda name: name if name in ("file", "label") else META + name)
    rows = rows.assign(part="train", path=paths)
    rows["file"] = [_shown(path, folder) for path in paths]
    return Listing(rows, _left_out(folder, others) + _twins(folder, [*rows["file"]]))


def _folders(folder: Path) -> list[Path]:
    return [path for path in _inside(folder) if path.is_dir()]


def _files(folder: Path) -> list[Path]:
    return [path for path in _inside(folder) if not path.is_dir()]


def _inside(folder: Path) -> list[Path]:
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in found if not path.name.startswith(".")]


def _shown(path: Path, folder: Path) -> str:
    # a name that is no UTF-8 cannot be written into Parquet
    name = path.relative_to(folder).as_posix()
    return printable(name.encode(errors="surrogateescape").decode(errors="backslashreplace"))


def _same_but_for_case(names: Sequence[str]) -> list[str]:
    often = Counter(name.casefold() for name in names)
    return [name for name in names if often[name.casefold()] > 1]


def _twins(folder: Path, files: Sequence[str]) -> list[str]:
    alike = _same_but_for_case(files)
    found = f"{len(alike)} names differ only in case, and are one file on some systems"
    return [f"{folder}: {found}: {_some(alike)}"] if alike else []


def _left_out(folder: Path, others: Sequence[Path]) -> list[str]:
    names = _some([_shown(path, folder) for path in sorted(others)])
    said = f"{folder}: left out, as no picture of a class: {len(others)} ({names})"
    return [said] if others else []


def _some(names: Sequence[str]) -> str:
    return ", ".join([*names[:NAMED], *(["…"] if len(names) > NAMED else [])])
