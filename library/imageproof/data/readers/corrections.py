"""Corrected labels: a table beside the data, which itself stays as it is."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from imageproof.base.dataset import Labels, spelled
from imageproof.base.errors import DataError
from imageproof.base.files import replacing
from imageproof.base.text import one_line
from imageproof.data.readers.table import read_table

FILE = "corrections.csv"
COLUMNS = ["part", "name", "label", "corrected"]  # part and name as in rows.parquet
HASH = "hash"  # of the image, see `packed.load_hashes`; tables of older versions have none
MAX_BYTES = 50_000_000

Key = tuple[str, str]  # part and name of an image
Corrections = dict[Key, tuple[str, str]]  # the class in the data, and the right one


def apply(path: Path, rows: pd.DataFrame, names: list[str]) -> tuple[Labels, int]:
    """The labels of all rows with the corrections of a file, and how many these are.

    `rows` has part, name, label and hash, `names` one name per class. Where part and name are
    those of an image with another hash, the one image with the line's hash is meant. A DataError
    has a finding for each line that names no row or no class, a row for the second time, or another
    label than the row has.
    """
    labels = rows["label"].to_numpy(copy=True)
    corrections = _checked(path, _located(path, rows), _named(rows, names), names)
    at = {key: row for row, key in enumerate(_keys(rows))}
    for key, (_, corrected) in corrections.items():
        labels[at[key]] = names.index(corrected)
    return labels, len(corrections)


def merge(source: Path, target: Path, rows: pd.DataFrame, names: list[str]) -> tuple[int, int]:
    """Add what a person corrected in `source` to the corrections in `target`.

    `source` has the columns of `target`, and others; it counts where `corrected` is not empty.
    `rows` are those that were packed, as for `apply`; a label may be theirs, or the one before its
    correction.
    Returns how many rows were corrected, and how many there are now in `target`: correcting a row
    back takes it out. A DataError as of `apply`.
    """
    table = _located(source, rows)
    table = table[table["corrected"] != ""]
    kept = _located(target, rows) if target.exists() else table[:0]
    merged = {key: labels for _, key, labels in _lines(kept)}
    before = {
        key: label for _, key, (label, _) in _lines(table) if merged.get(key, ("",))[0] == label
    }
    found = _checked(source, table, _named(rows, names) | before, names)
    if not found:
        raise DataError(f"{source}: no class in the column corrected; nothing to do")
    for key, (label, corrected) in found.items():
        merged[key] = merged.get(key, (label, ""))[0], corrected
    hashes = _hashes(kept) | {key: digest for key, digest in _hashes(rows).items() if key in found}
    lines = [(*key, *both, hashes[key]) for key, both in merged.items() if both[0] != both[1]]
    with replacing(target) as temporary:
        pd.DataFrame(lines, columns=[*COLUMNS, HASH]).to_csv(temporary, index=False)
    return len(found), len(lines)


def _read(path: Path) -> pd.DataFrame:
    """The table as texts; its index is the number of each line."""
    table = read_table(path, COLUMNS, max_bytes=MAX_BYTES)
    labels = {column: table[column].map(spelled) for column in ("label", "corrected")}
    return table.assign(**labels, hash=table.get(HASH, ""))


def _located(path: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """The table in a file, with part and name of the image that has the hash of each line."""
    table = _read(path)
    hashes = _hashes(rows)
    keys: dict[str, list[Key]] = {}
    for key, digest in hashes.items():
        keys.setdefault(digest, []).append(key)
    findings = []
    for line, key, digest in zip(table.index, _keys(table), table[HASH], strict=True):
        if digest and hashes.get(key) != digest:
            images = keys.get(digest, [])
            if len(images) == 1:
                table.loc[line, ["part", "name"]] = images[0]
            else:
                what = f"{path}:{line}: {' '.join(key)}: is another image now, and the corrected"
                findings.append(f"{what} one is in the data {len(images)} times; delete the line")
    if findings:
        raise DataError(*findings)
    return table


def _keys(rows: pd.DataFrame) -> Iterator[Key]:
    return zip(rows["part"], rows["name"], strict=True)


def _hashes(rows: pd.DataFrame) -> dict[Key, str]:
    return dict(zip(_keys(rows), rows[HASH], strict=True))


def _lines(table: pd.DataFrame) -> Iterator[tuple[int, Key, tuple[str, str]]]:
    """Number, image, and both labels of each line."""
    for line, part, name, label, corrected in table[COLUMNS].itertuples(name=None):
        yield line, (part, name), (label, corrected)


def _named(rows: pd.DataFrame, names: list[str]) -> dict[Key, str]:
    """The class of each image by name; a label that is none stays a number."""
    called = dict(enumerate(names))
    lines = zip(rows["part"], rows["name"], rows["label"].tolist(), strict=True)
    return {(part, name): called.get(label, str(label)) for part, name, label in lines}


def _checked(
    path: Path, table: pd.DataFrame, known: Mapping[Key, str], names: list[str]
) -> Corrections:
    findings: list[str] = []
    lines: dict[Key, int] = {}
    found: Corrections = {}
    for line, key, (label, corrected) in _lines(table):
        where = f"{path}:{line}: {' '.join(key)}"
        if key not in known:
            findings.append(f"{where}: no such image in the data; delete the line")
        elif key in lines:
            findings.append(f"{where}: stands in line {lines[key]}, too; delete one")
        elif corrected not in names:
            some = one_line(", ".join(names))
            mend = "rename it here, too, if the class has another name now"
            findings.append(f"{where}: {corrected!r} is no class, one of {some} is; {mend}")
        elif label != known[key]:
            mend = "the data has changed since; delete the line"
            findings.append(f"{where}: is {known[key]} in the data, and not {label}; {mend}")
        lines[key], found[key] = line, (label, corrected)
    if findings:
        raise DataError(*findings)
    return found
