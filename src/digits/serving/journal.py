"""The log of what was asked and answered: Parquet files by day, written beside the requests.

FOLDER/YYYY-MM-DD/HHMMSS-….parquet (UTC) with the columns `at` (when it was answered; no two rows of
a server have the same), `image` (height·width bytes), `predicted`, `p0`, `p1`, … (probabilities),
`set_size` (classes in the answer set; null without calibration) and `model`; height and width are
in the schema's metadata.
"""

import re
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex
from threading import Event, Lock, Thread
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from digits.core.dataset import Images, Probabilities
from digits.core.errors import one_line
from digits.core.files import replacing
from digits.evaluation.confidence import answer_sets
from digits.serving.model import Description

FLUSH_S = 60
FLUSH_BYTES = 4_000_000
MAX_HELD = 16_000_000  # bytes in memory; while the disk is slower than the requests, no more
MAX_DAYS = 30
MAX_BYTES = 1_000_000_000  # of all files; the oldest go

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


class _Asked(NamedTuple):
    at: NDArray[np.datetime64]  # (n,), microseconds in UTC
    images: Images
    probabilities: Probabilities


class Journal:
    """Keeps what is added in memory, and writes it from a thread of its own.

    A fault in writing is one warning, and the rows are lost: no request waits or fails for it.

    Raises:
        OSError: the folder cannot be made.
    """

    def __init__(self, folder: Path, description: Description) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder, self._description = folder, description
        self._asked: list[_Asked] = []
        self._size = self._lost = self._next = 0
        self._lock, self._wake, self._ended = Lock(), Event(), False
        self._thread = Thread(target=self._write_regularly, name="journal")

    def __enter__(self) -> "Journal":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self._wake.set()
        self._thread.join()
        self._flush(tidy=True)

    def add(self, images: Images, probabilities: Probabilities) -> NDArray[np.datetime64]:
        """Take the answers to one request: images uint8 (n, h, w), probabilities (n, classes).

        Returns:
            The `at` of each, its key in the log.
        """
        first = max(time.time_ns() // 1000, self._next)
        self._next = first + len(images)
        at = np.arange(first, self._next).astype("datetime64[us]")
        asked = _Asked(at, images, probabilities)
        size = sum(each.nbytes for each in asked)
        with self._lock:
            if self._size + size > MAX_HELD:
                self._lost += len(images)
            else:
                self._asked.append(asked)
                self._size += size
            if self._size >= FLUSH_BYTES:
                self._wake.set()
        return at

    def _write_regularly(self) -> None:
        tidied = 0.0
        while not self._ended:
            self._wake.wait(FLUSH_S)
            self._wake.clear()
            if tidy := time.monotonic() - tidied >= FLUSH_S:  # also where nothing is asked
                tidied = time.monotonic()
            self._flush(tidy=tidy)

    def _flush(self, *, tidy: bool) -> None:
        with self._lock:
            asked, lost = self._asked, self._lost
            self._asked, self._size, self._lost = [], 0, 0
        try:
            if asked:
                self._write(asked)
            if tidy:
                _forget(self._folder)
            if lost:
                raise OSError(f"slower than the requests, so {lost:,} rows are left out")
        except Exception as error:  # pyarrow has many kinds
            print(f"warning: {self._folder}: {one_line(error, width=200)}", file=sys.stderr)

    def _write(self, asked: list[_Asked]) -> None:
        now = datetime.now(UTC)
        name = f"{now:%H%M%S}-{token_hex(4)}.parquet"  # unlike those of other servers
        with replacing(self._folder / f"{now:%Y-%m-%d}" / name) as temporary:
            pq.write_table(self._table(asked), temporary, compression="zstd")

    def _table(self, asked: list[_Asked]) -> pa.Table:
        at, images, probabilities = map(np.concatenate, zip(*asked, strict=True))
        confidence, sizes = self._description.confidence, pa.nulls(len(images), pa.int16())
        if confidence:
            sets = answer_sets(probabilities, confidence.threshold)
            sizes = pa.array(sets.sum(axis=1).astype(np.int16))
        titles = [self._description.title]
        columns = {
            "at": pa.array(at, pa.timestamp("us", "UTC")),
            "image": pa.array([image.tobytes() for image in images], pa.binary()),
            "predicted": pa.array(probabilities.argmax(axis=1).astype(np.int16)),
            **{f"p{k}": pa.array(column) for k, column in enumerate(probabilities.T)},
            "set_size": sizes,
            "model": pa.DictionaryArray.from_arrays(np.zeros(len(images), np.int8), titles),
        }
        height, width = map(str, self._description.shape)
        return pa.table(columns).replace_schema_metadata({"height": height, "width": width})


def _forget(folder: Path) -> None:
    """Delete the oldest files until the rest is within the limits."""
    first = f"{datetime.now(UTC) - timedelta(days=MAX_DAYS):%Y-%m-%d}"
    days = sorted(day for day in folder.iterdir() if _DAY.fullmatch(day.name))
    files = [file for day in days for file in sorted(day.glob("[!.]*.parquet"))]
    size = sum(file.stat().st_size for file in files)
    for file in files:
        if size <= MAX_BYTES and file.parent.name > first:
            break
        size -= file.stat().st_size
        file.unlink()
        if not any(file.parent.iterdir()):
            file.parent.rmdir()
