"""Corrected labels: a table beside the data, which itself stays as it is."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from imageproof.base._class_names import spelled
from imageproof.base._dataset import Labels
from imageproof.base.errors import DataError
from imageproof.base.files import replacing
from imageproof.base.text import first_names, one_line
from imageproof.data._class_names import names_of_labels
from imageproof.data.readers._table import read_table

FILE = "corrections.csv"
COLUMNS = ["part", "name", "label", "corrected"]  # part and name as in rows.parquet
HASH = "hash"  # of the image, see `packed.load_hashes`; a table need not have it

Key = tuple[str, str]  # part and name of an image


class Line(NamedTuple):
    place: str
    key: Key
    label: str  # the class in the data
    corrected: str
    digest: str


def apply(path: Path, rows: pd.DataFrame, names: list[str]) -> tuple[Labels, int]:
    """The labels of all rows with the corrections of a file, and how many these are.

    `rows` has part, name, label and hash, `names` one name per class. Where part and name are
    those of an image with another hash, the one image with the line's hash is meant. A DataError
    has a finding for each line that names no row or no class, a row for the second time, or another
    label than the row has.
    """
    lines = _read(path, rows)
    _check(lines, _by_key(rows, names_of_labels(rows["label"], names)), names)
    numbers = _by_key(rows, range(len(rows)))
    labels = rows["label"].to_numpy(copy=True)
    for line in lines:
        labels[numbers[line.key]] = names.index(line.corrected)
    return labels, sum(line.label != line.corrected for line in lines)


def classes(path: Path, rows: pd.DataFrame, names: list[str]) -> dict[Key, str]:
    """The class of each packed row, also by the corrections of a file that were not packed yet."""
    by_key = _by_key(rows, names_of_labels(rows["label"], names))
    lines = _read(path, rows) if path.exists() else []
    return by_key | {line.key: line.corrected for line in lines if line.key in by_key}


def read_corrected(path: Path, rows: pd.DataFrame) -> list[Line]:
    """What a person corrected in a table: it has COLUMNS, and others; `corrected` may be empty."""
    lines = [line for line in _read(path, rows) if line.corrected]
    if not lines:
        raise DataError(f"{path}: no class in the column corrected; nothing to do")
    return lines


def merge(
    lines: Sequence[Line],
    target: Path,
    rows: pd.DataFrame,
    names: list[str],
) -> tuple[int, int]:
    """Add these lines to the corrections in `target`.

    `rows` are those that were packed, as for `apply`; a label may be theirs, that of `classes`, or
    the one before its correction.
    Returns how many rows were corrected, and how many are now in `target`, but for those corrected
    back: such a line goes when the row is packed with its own label. A DataError as of `apply`.
    """
    merged = {line.key: line for line in _read(target, rows)} if target.exists() else {}
    originals = {key: line.label for key, line in merged.items()}
    labels = _by_key(rows, names_of_labels(rows["label"], names))
    latest = classes(target, rows, names)
    for line in lines:
        if line.label in (labels.get(line.key), originals.get(line.key)):
            latest[line.key] = line.label
    _check(lines, latest, names)

    digests = _by_key(rows, rows[HASH])
    for line in lines:
        original = originals.get(line.key, line.label)
        merged[line.key] = line._replace(label=original, digest=digests[line.key])
    cells = [
        (*line.key, line.label, line.corrected, line.digest)
        for line in merged.values()
        if {line.corrected} != {line.label, labels.get(line.key)}
    ]
    with replacing(target) as temporary:
        pd.DataFrame(cells, columns=[*COLUMNS, HASH]).to_csv(temporary, index=False)
    return len(lines), sum(line.label != line.corrected for line in merged.values())


def _read(path: Path, rows: pd.DataFrame) -> list[Line]:
    """The lines of a file, each with part and name of the image that has its hash."""
    table = read_table(path, COLUMNS).reindex(columns=[*COLUMNS, HASH], fill_value="")
    digests = _by_key(rows, rows[HASH])
    keys = {digest: key for key, digest in digests.items()}
    copies = Counter(digests.values())
    lines: list[Line] = []
    findings: list[str] = []
    for number, part, name, label, corrected, digest in table.itertuples(name=None):
        place = f"{path}:{number}: {part} {name}"
        key = (part, name)
        if digest and digests.get(key) != digest:
            if copies[digest] != 1:
                findings.append(
                    f"{place}: is gone or another image, and the corrected one "
                    f"is in the data {copies[digest]} times; delete the line"
                )
                continue
            key = keys[digest]
        lines.append(Line(place, key, spelled(label), spelled(corrected), digest))
    if findings:
        raise DataError(*findings)
    return lines


def _check(
    lines: Sequence[Line],
    classes: Mapping[Key, str],
    names: list[str],
) -> None:
    """Raise a DataError unless each line names a class, and a row of its label for the first time.

    `classes` has the class of each image.
    """
    findings: list[str] = []
    keys = set[Key]()
    for line in lines:
        fault = ""
        if line.key not in classes:
            fault = "no such image in the data; delete the line"
        elif line.key in keys:
            fault = "stands in a line before, too; delete one"
        elif unknown := {line.corrected, *({line.label} - {classes[line.key]})}.difference(names):
            mend = "rename it here, too, if the class has another name now"
            allowed = one_line(", ".join(names))
            fault = f"{first_names(sorted(unknown))} is no class, one of {allowed} is; {mend}"
        elif line.label != classes[line.key]:
            fault = (
                f"is {classes[line.key]} in the data, and not {line.label}; "
                "the data has changed since; delete the line"
            )
        if fault:
            findings.append(f"{line.place}: {fault}")
        keys.add(line.key)
    if findings:
        raise DataError(*findings)


def _by_key(rows: pd.DataFrame, values: Iterable[Any]) -> dict[Key, Any]:
    keys = zip(rows["part"], rows["name"], strict=True)
    return dict(zip(keys, values, strict=True))
