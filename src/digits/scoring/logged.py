"""What a served model logged: images, answers and times, from a folder of Parquet files by day."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from digits.core.dataset import Images, Labels
from digits.core.errors import DataError
from digits.core.files import reading_as, require_file
from digits.scoring.parquet import batches, open_parquet

MAX_ROWS = 1_000_000  # of a file; a service writes fewer
TIMES = (datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC))
COLUMNS = {
    "at": pa.timestamp("us", "UTC"),
    "image": pa.binary(),
    "predicted": pa.int16(),
    "set_size": pa.int16(),
    "model": pa.dictionary(pa.int8(), pa.string()),
}


class Logged(NamedTuple):
    """Rows of one version in a log.

    `at` int64 (n,): microseconds since 1970, UTC. `set_sizes` int64 (n,) is None for versions
    without calibration.
    """

    at: NDArray[np.int64]
    images: Images
    predicted: Labels
    set_sizes: Labels | None


@dataclass(frozen=True, slots=True)
class Log:
    """The last days of a log: `newest` is the time of its last row, `model` who answered it.

    `model` is the address of a version.
    """

    files: list[Path]
    since: datetime
    newest: datetime
    model: str


def is_log(path: Path) -> bool:
    """Whether a folder holds Parquet files, as a service logs them."""
    return path.is_dir() and any(_files(path))


def open_log(folder: Path, *, days: int) -> Log:
    """The rows of the `days` × 24 hours before the newest row.

    Raises:
        DataError: the last file is no such log.
    """
    files = sorted(_files(folder))
    last: tuple[datetime, str] | None = None
    for path in reversed(files):
        for table in _tables(path, ["at", "model"]):
            newest = max(table.to_pylist(), key=lambda row: row["at"])
            last = max(last or (newest["at"], ""), (newest["at"], newest["model"]))
        if last:
            break
    if last is None:
        raise DataError(f"{folder}: no row in its {len(files):,} Parquet files")
    since = max(last[0] - timedelta(days=days), TIMES[0])
    recent = [path for path in files if not _is_before(path, since)]
    name, _, version = last[1].rpartition(" ")
    return Log(recent, since, last[0], f"models:/{name}/{version}")


def read_log(
    log: Log, *, model: str, shape: tuple[int, int], classes: int
) -> Iterator[Logged | int]:
    """The rows that `model` («digits 7») answered, in batches; of others only their number.

    Files that the service deletes meanwhile are left out.

    Raises:
        DataError: a file is damaged, or its images or classes are not the model's.
    """
    since = pa.scalar(log.since, COLUMNS["at"])
    for path in log.files:
        for table in _tables(path, list(COLUMNS)):
            recent = table.filter(pc.greater(table["at"], since))
            own = recent.filter(pc.equal(pc.cast(recent["model"], pa.string()), model))
            if others := len(recent) - len(own):
                yield others
            if len(own):
                yield _checked(path, own, shape, classes)


def _files(folder: Path) -> Iterator[Path]:
    """Those that are complete: the service writes to names that begin with a dot."""
    return folder.rglob("[!.]*.parquet")


def _is_before(path: Path, since: datetime) -> bool:
    """Whether the folder's name is an earlier day."""
    try:
        day = datetime.strptime(path.parent.name, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return False
    return day.date() < since.date()


def _tables(path: Path, columns: list[str]) -> Iterator[pa.Table]:
    """The rows of a file, 1,000 at a time; none if it is gone.

    Raises:
        DataError: it cannot be read, has other columns, or an empty cell.
    """
    require_file(path)
    with (
        reading_as("Parquet", path),
        suppress(FileNotFoundError),
        open_parquet(path, packed=path.stat().st_size, texts=["image"]) as file,
    ):
        _check_file(path, file)
        for batch in batches(file, columns):
            table = pa.Table.from_batches([batch])
            required = [name for name in columns if name != "set_size"]
            if empty := [name for name in required if table[name].null_count]:
                raise DataError(f"{path} column {empty[0]}: an empty cell; none is allowed")
            first, last = (pa.scalar(time, COLUMNS["at"]) for time in TIMES)
            known = pc.and_(pc.greater(table["at"], first), pc.less(table["at"], last))
            if not pc.all(known).as_py():
                raise DataError(f"{path} column at: a time outside 1970…2200")
            yield table


def _check_file(path: Path, file: pq.ParquetFile) -> None:
    if (rows := file.metadata.num_rows) > MAX_ROWS:
        raise DataError(f"{path}: {rows:,} rows; at most {MAX_ROWS:,} a file are allowed")
    found = {field.name: field.type for field in file.schema_arrow}
    found |= {"image": getattr(found.get("image"), "value_type", "missing")}  # see `open_parquet`
    for name, kind in COLUMNS.items():
        if found.get(name) != kind:
            has = found.get(name, "missing")
            raise DataError(f"{path} column {name}: {has}; a service's log has {kind}")


def _checked(path: Path, table: pa.Table, shape: tuple[int, int], classes: int) -> Logged:
    lengths = pc.unique(pc.binary_length(table["image"])).to_pylist()
    if wrong := [length for length in lengths if length != prod(shape)]:
        raise DataError(
            f"{path} column image: {wrong[0]} bytes; the model takes {shape[0]}×{shape[1]} ="
            f" {prod(shape)}"
        )
    predicted = table["predicted"].to_numpy().astype(np.int64)
    if outside := [label for label in np.unique(predicted) if not 0 <= label < classes]:
        raise DataError(f"{path} column predicted: {outside[0]} is outside 0..{classes - 1}")
    content = b"".join(table["image"].to_pylist())
    sizes = table["set_size"]
    return Logged(
        at=table["at"].to_numpy().astype("datetime64[us]").astype(np.int64),
        images=np.frombuffer(content, np.uint8).reshape(len(table), *shape),
        predicted=predicted,
        set_sizes=None if sizes.null_count else sizes.to_numpy().astype(np.int64),
    )
