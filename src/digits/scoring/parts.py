"""Score one part of a large table: what it is, its file and its record.

The predictions of a part are in `part-KEY.parquet`. KEY is a hash of what decides them: the files
with sizes and stamps, the span, the version with its hash, the coverage. `_parts/KEY.json` is its
record with the SHA-256 of its file; a part that its record confirms is not computed again.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache, partial
from threading import Lock
from typing import Any, NamedTuple

import mlflow
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from digits.core import process
from digits.core.dataset import Picture
from digits.core.errors import DataError, IntegrityError
from digits.core.files import StrictModel, sha256, text_sha256, write_json
from digits.data.validation.validate import ValidateParams
from digits.registry.served import served
from digits.scoring import storage
from digits.scoring.inputs import open_input, open_pictures
from digits.scoring.score import STATS, Answering, Tally, answers_of, write_predictions
from digits.scoring.storage import StoredFile
from digits.scoring.tables import Batch, Shape, Span, open_table
from digits.tracking import store

FORMAT = 1  # of a part; another one makes other keys

Load = Callable[[], Answering]


class Part(NamedTuple):
    """What one task scores: a file or a span of it, or pictures of one folder.

    Parts are numbered in the order of the files.
    """

    number: int
    files: tuple[StoredFile, ...]
    span: Span | None
    pictures: bool

    @property
    def input(self) -> str:
        """The address of the file or folder."""
        return self.files[0].folder if self.pictures else self.files[0].address


class Job(NamedTuple):
    """What all parts have in common; all that a worker needs to know."""

    out: str
    tracking_uri: str
    model: str  # its address with version
    model_sha256: str
    shape: Shape
    classes: int
    picture: Picture
    coverage: float
    usual: ValidateParams

    def key(self, part: Part) -> str:
        """What decides the predictions of a part, as a hash."""
        facts = [FORMAT, self.model, self.model_sha256, self.coverage, part.files, part.span]
        return text_sha256(json.dumps(facts))[:32]


class Record(StrictModel):
    """What is known of a finished part; `data_md5` is that of its images' bytes."""

    file: str
    input: str
    span: list[int] | None
    rows: int
    data_md5: str
    sha256: str


class Scored(NamedTuple):
    """A finished part, and whether it had been finished before."""

    record: Record
    tally: Tally
    kept: bool


def score_part(job: Job, part: Part, load: Load) -> Scored:
    """Predict a part and write its file and its record, unless both are there already.

    Raises:
        DataError: it cannot be read, or changed meanwhile.
        IntegrityError: the version has other files than when the scoring began.
    """
    process.set_environment()
    key = job.key(part)
    if earlier := _finished(job, part, key):
        return earlier
    answering = load()
    tally = Tally(job.classes, job.usual, part.number)
    file = f"part-{key}.parquet"
    with storage.writing(f"{job.out}/{file}") as path:
        with _batches(job, part) as batches:
            facts = {"model": job.model, "input": part.input}
            data_md5 = write_predictions(batches, path, answering, tally, facts)
        storage.check_unchanged(part.files)
        record = Record(
            file=file,
            input=part.input,
            span=part.span and [*part.span],
            rows=tally.seen.rows,
            data_md5=data_md5,
            sha256=sha256(path),
        )
        # before the part: one without a record would never be deleted
        write_record(f"{job.out}/_parts/{key}.json", record.model_dump())
    return Scored(record, tally, kept=False)


_loading = Lock()


def load_once(tracking_uri: str, model: str, model_sha256: str, coverage: float) -> Answering:
    """The network of a version, loaded once by a process for all its threads."""
    with _loading:
        return _loaded(tracking_uri, model, model_sha256, coverage)


@lru_cache(maxsize=1)
def _loaded(tracking_uri: str, model: str, model_sha256: str, coverage: float) -> Answering:
    mlflow.set_tracking_uri(tracking_uri)
    with store.service_errors(), served(model, threads=1) as loaded:
        if loaded.origin.model_sha256 != model_sha256:
            raise IntegrityError(f"{model}: has other files than when the scoring began")
        return answers_of(loaded, coverage)


def _finished(job: Job, part: Part, key: str) -> Scored | None:
    """The part if its record confirms its file; None if it must be computed."""
    places = (f"{job.out}/_parts/{key}.json", f"{job.out}/part-{key}.parquet")
    there = tuple(StoredFile(address, 0, "") for address in places)
    # a missing or damaged file is computed anew
    with (
        suppress(DataError, FileNotFoundError, ValidationError),
        storage.local_copies(there[:1]) as [described],
        storage.local_copies(there[1:]) as [path],
    ):
        record = Record.model_validate_json(described.read_bytes())
        if sha256(path) != record.sha256:
            return None
        tally = Tally(job.classes, job.usual, part.number)
        with pq.ParquetFile(path) as file:
            counted = {"row", "file", "picture", "predicted", "set_size", *STATS}
            columns = [name for name in file.schema_arrow.names if name in counted]
            for batch in file.iter_batches(columns=columns):
                tally.add(pa.Table.from_batches([batch]))
        return Scored(record, tally, kept=True)
    return None


@contextmanager
def _batches(job: Job, part: Part) -> Iterator[Iterator[Batch]]:
    address, shape, picture = part.files[0].address, job.shape, job.picture
    if part.span:
        table = open_table(address, partial(storage.reading, address), shape=shape)
        if table is None:
            raise DataError(f"{address}: changed while it was scored; score it again")
        yield table.batches(part.span)
        return
    with storage.local_copies(part.files) as paths:
        if part.pictures:
            folder = paths[0].parent
            yield open_pictures(folder, paths, shape=shape, picture=picture).batches()
        else:
            yield open_input(paths[0], shape=shape, picture=picture).batches()


def write_record(address: str, value: Any) -> None:
    """Write a value as JSON to an address."""
    with storage.writing(address) as path:
        write_json(path, value)
