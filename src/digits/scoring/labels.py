"""Labels that arrive after the answers: which row, and what it truly was."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.csv

from digits.core.errors import DataError
from digits.core.files import reading_as, require_file
from digits.scoring import parquet

MAX_BYTES = 200_000_000
MAX_ROWS = 1_000_000
# How an image is named: by the time of a log, the row of a CSV or npz, or a picture's file.
KEYS = {"at": pa.timestamp("us", "UTC"), "row": pa.int64(), "file": pa.string()}


class TrueLabels(NamedTuple):
    """True classes by key: microseconds since 1970 for `at`, row numbers, or file names."""

    key: str
    by_key: dict[int | str, int]


def read_labels(path: Path, *, key: str, classes: int) -> TrueLabels:
    """Read a CSV or Parquet file with the columns `label` and `key`, a name in KEYS.

    Raises:
        DataError: it cannot be read, is too large, has other columns, a label is no class, or a
            key occurs twice.
    """
    require_file(path)
    if not path.is_file():
        raise DataError(f"{path}: not found; a CSV or Parquet file is allowed")
    if path.stat().st_size > MAX_BYTES:
        raise DataError(f"{path}: over {MAX_BYTES // 10**6} MB; at most that is allowed")
    by_key: dict[int | str, int] = {}
    rows = 0
    with reading_as("labels", path):
        for batch in _batches(path, key):
            rows += len(batch)
            if rows > MAX_ROWS:
                raise DataError(f"{path}: over {MAX_ROWS:,} rows; at most that is allowed")
            keys = batch[key].cast(pa.int64()) if key == "at" else batch[key]
            by_key |= zip(keys.to_pylist(), batch["label"].to_pylist(), strict=True)
    _check(path, key, by_key, rows, classes)
    return TrueLabels(key, by_key)


def _batches(path: Path, key: str) -> Iterator[pa.RecordBatch]:
    kinds = {key: KEYS[key], "label": pa.int64()}
    with path.open("rb") as file:
        is_parquet = file.read(4) == b"PAR1"
    if not is_parquet:
        convert = pa.csv.ConvertOptions(column_types=kinds, include_columns=list(kinds))
        yield from pa.csv.open_csv(path, convert_options=convert)
        return
    texts = [key] if KEYS[key] == pa.string() else []
    with parquet.open_parquet(path, packed=path.stat().st_size, texts=texts) as table:
        for name in kinds:
            if name not in table.schema_arrow.names:
                raise DataError(f"{path}: no column {name}; {' and '.join(kinds)} are needed")
        for batch in parquet.batches(table, list(kinds)):
            yield batch.select(list(kinds)).cast(pa.schema(kinds.items()))


def _check(path: Path, key: str, by_key: dict[int | str, int], rows: int, classes: int) -> None:
    if not rows:
        raise DataError(f"{path}: no row; at least one label is needed")
    if None in by_key or None in by_key.values():
        raise DataError(f"{path}: an empty cell; each row needs {key} and label")
    if len(by_key) < rows:
        raise DataError(f"{path} column {key}: {rows - len(by_key):,} values occur twice")
    if outside := [label for label in by_key.values() if not 0 <= label < classes]:
        raise DataError(f"{path} column label: {outside[0]} is outside 0..{classes - 1}")
