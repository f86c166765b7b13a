"""What is to be logged to a server waits in a folder until the server has it.

A record is a folder `<run id>.<number>`. Records are sent in order, and deleted when they have
arrived; one that may have arrived is sent again. A store that is an SQLite file gets each record at
once.
"""

import errno
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict
from pathlib import Path
from shutil import rmtree
from threading import Event, Thread

from filelock import FileLock, Timeout

from digits.core.addresses import public
from digits.core.errors import PAUSE_S, ServiceError, printable
from digits.core.files import scratch, write_text
from digits.core.process import project_root
from digits.tracking import store
from digits.tracking.record import Record, now_ms

FOLDER = Path(".state/spool")
OTHERS_S = 60.0  # for so long another process may be sending
POLL_S = 0.02

_RECORD = "record.json"
_NAME = re.compile(r"[0-9a-f]{32}\.\d{6}")
_REFUSED = "refused"  # folder of the records that the server will never take


@contextmanager
def logging(record: Record, *, now: bool = True) -> Iterator[Path]:
    """Log a record, with the files that the block puts into the folder that it gets.

    Files in its `artifacts` become artifacts of the run, those in its `model` the run's model.
    Unless `now`, the next command sends it.

    Raises:
        ServiceError: the server refused an earlier record, or an SQLite store this one.
    """
    folder = None if store.is_file() else _folder()
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    with scratch(folder) as temporary:
        files = temporary / "record"
        files.mkdir()
        yield files
        if folder is None:
            with store.service_errors():
                record.send(files)
            return
        write_text(files / _RECORD, json.dumps(asdict(record)))
        _put_last(files, folder / record.run_id)
    if not now:
        return
    sender = _Sender.of_this_process()
    sender.runs.add(record.run_id)
    sender.wake()
    sender.raise_refusal()


def log(record: Record) -> None:
    """Log a record without files; see `logging`."""
    with logging(record):
        pass


def log_end(run_id: str, status: str, *, now: bool = True) -> None:
    """Log that a run has ended now; unless `now`, the next command sends it."""
    with logging(Record(run_id, ended=(status, now_ms())), now=now):
        pass


def flush(run_id: str, *, wait_s: float = 0.0) -> bool:
    """Wait until the store has all of a run; False if it is away, and was for `wait_s` seconds.

    Raises:
        ServiceError: the server refused a record.
    """
    if store.is_file():
        return True
    sender, deadline = _Sender.of_this_process(), time.monotonic() + wait_s
    sender.runs.add(run_id)  # earlier processes may have logged all that waits
    sender.away = False
    sender.wake()
    while _waiting(run_id):
        if sender.away and time.monotonic() >= deadline:
            return False
        time.sleep(POLL_S)
    sender.raise_refusal()
    return True


def send_left() -> None:
    """Send what waits since earlier processes; say so in a line."""
    if store.is_file() or not (left := _waiting()):
        return
    try:
        _send_earlier(left)
    except ServiceError as error:
        _Sender.of_this_process().say(error)
    if sent := sum(not record.exists() for record in left):
        count = str(sent) if sent == len(left) else f"{sent} of {len(left)}"
        _warn(f"{count} records that waited in {FOLDER} were sent to MLflow")


def wait_for_left() -> None:
    """Send what waits since earlier processes; wait for a store that is away.

    Raises:
        ServiceError: it did not come back.
    """
    if not store.is_file():
        try:
            store.patiently(lambda: _send_earlier(_waiting()))
        except ServiceError as error:
            raise ServiceError(f"{error}; what was logged waits in {_folder()}") from error


class _Sender(Thread):
    """Sends what this process logs, beside its training."""

    _own: "_Sender | None" = None

    def __init__(self) -> None:
        super().__init__(daemon=True, name="spool")
        self.runs: set[str] = set()
        self.away = False
        self._said = False
        self._wanted = Event()
        self._refusal: Exception | None = None

    @classmethod
    def of_this_process(cls) -> "_Sender":
        if cls._own is None:
            cls._own = cls()
            cls._own.start()
        return cls._own

    def wake(self) -> None:
        self._wanted.set()

    def raise_refusal(self) -> None:
        """Raise, once, why the server will never take a record."""
        error, self._refusal = self._refusal, None
        if error:
            raise error

    def run(self) -> None:
        while True:
            self._wanted.wait(PAUSE_S if self.away else None)
            self._wanted.clear()
            try:
                _send_runs(tuple(self.runs), refused=self._refused)
                self.away = False
            except Exception as error:  # a thread that ended would let `flush` wait forever
                self.away = True
                self.say(error)

    def say(self, error: Exception) -> None:
        """Say once that the server is away."""
        if not self._said:
            _warn(f"{error}; what is logged waits in {FOLDER} until it is back")
        self._said = True

    def _refused(self, error: Exception) -> None:
        self._refusal = error


def _send_earlier(records: list[Path]) -> None:
    """Send the runs of records that earlier processes wrote; raises as `_send_runs`."""
    with redirect_stdout(sys.stderr):  # MLflow prints where a run is that has ended
        _send_runs(
            dict.fromkeys(_run_id(record) for record in records),
            refused=lambda e: _warn(f"{e}; see {FOLDER}/*/{_REFUSED}"),
        )


def _send_runs(run_ids: Iterable[str], *, refused: Callable[[Exception], None]) -> None:
    """Send the records of runs. A run that the server fails at does not hold up the others.

    Raises:
        ServiceError: as `_send_run`, for the first run that failed.
    """
    failures: list[ServiceError] = []
    for run_id in run_ids:
        try:
            _send_run(run_id, refused=refused)
        except ServiceError as error:
            failures.append(error)
            if store.is_unreachable(error):
                break
    if failures:
        raise failures[0]


def _send_run(run_id: str, *, refused: Callable[[Exception], None]) -> None:
    """Send the records of a run in order.

    A record that the server will never take is set aside, and `refused` gets the reason.

    Raises:
        ServiceError: the server is away, or another process sends for over OTHERS_S seconds.
    """
    lock = FileLock(_folder() / ".lock", timeout=OTHERS_S)
    try:
        with lock:
            while records := _waiting(run_id):
                try:
                    _deliver(records[0])
                except Exception as error:
                    if store.is_away(error):
                        raise
                    _move(records[0], _folder() / _REFUSED)
                    refused(error)
    except Timeout:
        raise ServiceError(f"{lock.lock_file}: another process holds it") from None


def _deliver(record: Path) -> None:
    content = Record(**json.loads((record / _RECORD).read_text(encoding="utf-8")))
    with store.service_errors():
        content.send(record)
    sent = _folder() / ".sent"
    _move(record, sent)  # at once, as a kill may interrupt the deletion
    rmtree(sent, ignore_errors=True)


def _folder() -> Path:
    """The folder of the records for the store that is used now; of a worker, not of a commit's."""
    store_name = re.sub(r"\W+", "-", public(store.tracking_uri()))
    return Path(os.environ.get("DIGITS_HOME") or project_root()) / FOLDER / store_name


def _put_last(files: Path, run: Path) -> None:
    """Make a folder the last record of a run, to which other processes may be logging."""
    while True:
        number = max((_number(each) for each in _waiting(run.name)), default=0)
        try:
            files.rename(run.with_name(f"{run.name}.{number + 1:06d}"))
            return
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise


def _waiting(run_id: str = "") -> list[Path]:
    """The records of a run, by default of all, in the order to send them in."""
    folder = _folder()
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return [each for each in found if _NAME.fullmatch(each.name) and run_id in each.name]


def _run_id(record: Path) -> str:
    return record.name.partition(".")[0]


def _number(record: Path) -> int:
    return int(record.suffix[1:])


def _move(record: Path, folder: Path) -> Path:
    """Move a record to a folder, under a name that none there has."""
    folder.mkdir(exist_ok=True)
    return record.rename(folder / f"{record.name}.{time.time_ns()}")


def _warn(line: str) -> None:
    print(f"warning: {printable(line)}", file=sys.stderr, flush=True)
