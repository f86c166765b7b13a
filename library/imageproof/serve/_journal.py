"""The log of what was asked and answered: Parquet files by day, written beside the requests.

FOLDER/YYYY-MM-DD/HHMMSS-….parquet (UTC) with the columns `at` (when it was answered; no two rows of
a server have the same), `image` (its uint8 values as bytes), `predicted`, `p0`, `p1`, …
(probabilities), `set_size` (classes in the answer set), `model` and `server` (a
number of each service). Where a challenger is asked, too, `shadow` says whether it was asked for
this row. Its log, in FOLDER/shadow, has no `image`; `predicted` is -1 where it gave no
probabilities.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from stat import S_ISREG
from threading import Event, Lock, Thread
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from imageproof.base._dataset import Images, Probabilities
from imageproof.base.files import replacing
from imageproof.base.text import one_line, printable
from imageproof.judge.confidence import answer_sets
from imageproof.serve._model import Description

FLUSH_S = 60
FLUSH_BYTES = 4_000_000
MAX_HELD = 20_000_000  # bytes of rows in memory, while the disk takes none
MAX_BYTES = 1_000_000_000  # of all files; the oldest go

Times = NDArray[np.datetime64]  # (n,), microseconds UTC


class Journal:
    """Keeps what is added in memory, and writes it from a thread of its own."""

    def __init__(self, folder: Path, description: Description, server: int) -> None:
        self._folder = folder
        self._description = description
        self._server = server
        self._rows: list[dict[str, np.ndarray]] = []
        self._held = 0  # bytes of them
        self._new = 0  # bytes, kept or lost, since they were last written, or could not be
        self._dropped = 0  # rows that came while MAX_HELD bytes waited
        self._unwritten = 0  # rows that wait since they could not be written
        self._next = 0  # the least `at` of the next row, in microseconds since 1970
        self._lock = Lock()
        self._wake = Event()
        self._ended = False
        self._thread = Thread(target=self._write_regularly, name="journal")

    def __enter__(self) -> "Journal":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self._wake.set()
        self._thread.join()
        if self.lost:
            _warn(self._folder, f"{self.lost:,} rows of the log are lost")

    @property
    def lost(self) -> int:
        """Rows that were taken and could not be written; some may be, once the disk takes them."""
        return self._dropped + self._unwritten

    def add(self, images: Images, probabilities: Probabilities, **columns: np.ndarray) -> Times:
        """Take the answers to one request; returns the `at` of each, its key in the log."""
        first = max(time.time_ns() // 1000, self._next)
        self._next = first + len(images)
        at = np.arange(first, self._next).astype("datetime64[us]")
        self.keep(at=at, image=images, probabilities=probabilities, **columns)
        return at

    def keep(self, **columns: np.ndarray) -> None:
        """Take rows: `at`, `probabilities`, and more if all rows of this log have it.

        They are lost if the disk has taken none for so long that MAX_HELD bytes wait.
        """
        size = _size(columns)
        with self._lock:
            self._new += size
            if self._held + size > MAX_HELD:
                self._dropped += len(columns["at"])
            else:
                self._rows.append(columns)
                self._held += size
        if self._new >= FLUSH_BYTES:
            self._wake.set()

    def _write_regularly(self) -> None:
        is_last = False
        while not is_last:
            self._wake.wait(FLUSH_S)
            self._wake.clear()
            is_last = self._ended
            self._new = 0
            rows = [*self._rows]
            unwritten = sum(len(row["at"]) for row in rows)
            if rows:
                with _warning(self._folder):  # no request fails; the rows wait for the next time
                    self._write(rows)
                    unwritten = 0
                    with self._lock:
                        del self._rows[: len(rows)]
                        self._held -= sum(map(_size, rows))
            self._unwritten = unwritten
            with _warning(self._folder):  # others may delete folders meanwhile
                _forget(self._folder)

    def _write(self, rows: list[dict[str, np.ndarray]]) -> None:
        columns = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
        probabilities = columns.pop("probabilities")
        sets = answer_sets(probabilities, self._description.confidence.threshold)
        predicted = probabilities.argmax(axis=1).astype(np.int16)
        predicted[np.isnan(probabilities).any(axis=1)] = -1  # of a challenger only
        values: dict[str, Any] = {
            **columns,
            "at": pa.array(columns["at"], pa.timestamp("us", "UTC")),
            "predicted": predicted,
            **{f"p{k}": column for k, column in enumerate(probabilities.T)},
            "set_size": sets.sum(axis=1, dtype=np.int16),
            "model": pa.repeat(self._description.title, len(predicted)).dictionary_encode(),
            "server": np.full(len(predicted), self._server),
        }
        if "image" in columns:
            values["image"] = [image.tobytes() for image in columns["image"]]
        # by the newest row: a clock that was put back does not put rows among older ones
        time = columns["at"].max().item()
        name = f"{time:%H%M%S}-{token_hex(4)}.parquet"  # unlike those of other servers
        with replacing(self._folder / f"{time:%Y-%m-%d}" / name) as temporary:
            pq.write_table(pa.table(values), temporary, compression="zstd")


def _size(columns: dict[str, np.ndarray]) -> int:
    return sum(column.nbytes for column in columns.values())


def _forget(folder: Path) -> None:
    """Delete the oldest files that a service wrote here until the rest is within the limit."""
    days = [day for day in folder.glob("????-??-??") if not day.is_symlink()]
    files = [file for day in days for file in day.glob("??????-????????.parquet")]
    size = 0
    for file in sorted(files, reverse=True):
        status = file.lstat()
        size += status.st_size
        if size > MAX_BYTES and S_ISREG(status.st_mode):
            file.unlink()


@contextmanager
def _warning(path: Path) -> Iterator[None]:
    """Make an error a warning, as the thread must go on: without it all rows stay in memory."""
    try:
        yield
    except Exception as error:  # pyarrow has its own, too
        _warn(path, one_line(error, width=200))


def _warn(path: Path, sentence: str) -> None:
    print(f"warning: {printable(str(path))}: {sentence}", file=sys.stderr)
