"""Score what is too large for one file of predictions: in parts, here or on a Dask cluster.

A part is a file, or a span of one that can be read from the middle, or pictures of one folder.
The output is a folder, here or in an object store, with the files of `parts` and
`_manifest.json`: written last, the list of all parts and the result.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import md5
from itertools import groupby
from pathlib import Path
from time import perf_counter
from typing import Any

from digits.core import cluster
from digits.core.errors import DataError, DigitsError, ServiceError, UsageError, one_line
from digits.params import Params
from digits.registry.served import Served
from digits.scoring import storage
from digits.scoring.parts import (
    FORMAT,
    Job,
    Load,
    Part,
    Scored,
    load_once,
    score_part,
    write_record,
)
from digits.scoring.pictures import is_picture
from digits.scoring.score import Parts, ScoreResult, Tally, answers_of, conclude
from digits.scoring.storage import StoredFile
from digits.scoring.tables import Shape, Span, open_table
from digits.tracking import store

ROWS = 100_000  # of a span, about
PICTURES = 10_000  # of a part
READERS = 16  # files whose beginnings are read at once, to plan
MANIFEST = "_manifest.json"
PART = re.compile(r"part-([0-9a-f]{32})\.parquet")


def score_parts(
    source: str, out: str, model: Served, *, params: Params, scheduler: str = ""
) -> ScoreResult:
    """Write the predictions of all files at `source` to a folder; log an MLflow run.

    Runs on the Dask cluster of the scheduler, if any. What an earlier run has finished is kept.

    Raises:
        DataError: parts that cannot be read, with a finding each; the others are finished.
        ServiceError: the scheduler or a store does not answer; finished parts stay.
        UsageError: the output lies in the source, or workers could not reach a place.
    """
    source, out = storage.absolute(source), storage.absolute(out)
    tracking_uri = store.tracking_uri()
    _check_places(source, out, tracking_uri, scheduler)
    job = Job(
        out=out,
        tracking_uri=tracking_uri,
        model=model.origin.uri,
        model_sha256=model.origin.model_sha256,
        shape=model.files.shape,
        classes=model.files.classes,
        picture=model.picture,
        coverage=params.confidence.coverage,
        usual=params.validation,
    )
    files, parts = plan(source, shape=job.shape)
    load: Load = partial(answers_of, model, job.coverage)
    if not scheduler:
        load()  # takes time, not in the rate
    started = perf_counter()
    done, tally = _run(job, parts, load, scheduler)
    records = [done[part.number].record for part in parts]
    computed = [scored.record.rows for scored in done.values() if not scored.kept]
    digests = "".join(f"{record.data_md5} {record.input}\n" for record in records)
    result = conclude(
        tally,
        model,
        params,
        source=source,
        output=out,
        data_md5=md5(digests.encode(), usedforsecurity=False).hexdigest(),
        rows_per_s=sum(computed) / (perf_counter() - started),
        parts=Parts(len(parts), len(parts) - len(computed)),
    )
    write_record(
        f"{out}/{MANIFEST}",
        {
            "format": FORMAT,
            "model_sha256": job.model_sha256,
            "result": result.as_dict(),
            "inputs": [file._asdict() for file in files],
            "parts": [record.model_dump() for record in records],
        },
    )
    _delete_others(job, parts)
    return result


def plan(source: str, *, shape: Shape) -> tuple[list[StoredFile], list[Part]]:
    """The files at an address, and the parts that they are scored in.

    If there are pictures among them, only these are taken. Tables are told by content.

    Raises:
        DataError: nothing is there; or one finding per npz or Parquet file that cannot be scored.
    """
    files = storage.stored_files(source)
    pictures = [file for file in files if is_picture(file.name)]
    pieces: list[tuple[tuple[StoredFile, ...], Span | None]] = []
    if pictures:
        for _, group in groupby(pictures, key=lambda file: file.folder):
            of_folder = tuple(group)
            starts = range(0, len(of_folder), PICTURES)
            pieces += [(of_folder[start : start + PICTURES], None) for start in starts]
    else:
        with ThreadPoolExecutor(READERS) as pool:
            found = [*pool.map(partial(_spans, shape=shape), files)]
        if findings := [each for _, findings in found for each in findings]:
            raise DataError(*findings)
        of_files = zip(files, found, strict=True)
        pieces = [((file,), span) for file, (spans, _) in of_files for span in spans]
    parts = [Part(number, *piece, bool(pictures)) for number, piece in enumerate(pieces)]
    return pictures or files, parts


def _check_places(source: str, out: str, tracking_uri: str, scheduler: str) -> None:
    inside, outside = f"{out}/", f"{source}/"
    if inside.startswith(outside) or outside.startswith(inside):
        raise UsageError(f"--out: {out} and {source} lie in each other; choose another folder")
    if Path(out).is_file():
        raise UsageError(f"--out: {out} is a file; another folder is allowed")
    if not scheduler or cluster.is_here(scheduler):
        return
    findings = [
        f"{place}: workers on other machines do not see {address}; s3://… is allowed"
        for place, address in (("INPUT", source), ("--out", out))
        if not storage.is_remote(address)
    ]
    if cluster.is_here(tracking_uri):
        findings.append("MLFLOW_TRACKING_URI: workers on other machines need a tracking server")
    if findings:
        raise UsageError(*findings)


def _spans(file: StoredFile, *, shape: Shape) -> tuple[list[Span | None], Sequence[str]]:
    """How a file is split, and what is wrong with it."""
    try:
        table = open_table(file.address, partial(storage.reading, file.address), shape=shape)
        return table.spans(ROWS) if table else [None], []
    except DataError as error:
        return [], error.findings


def _run(
    job: Job, parts: Sequence[Part], load: Load, scheduler: str
) -> tuple[dict[int, Scored], Tally]:
    """Score all parts, and those again that another scoring into the same folder deleted."""
    done: dict[int, Scored] = {}
    tally, left = Tally(job.classes, job.usual), list(parts)
    while left:
        findings: list[str] = []
        scoring = _on_cluster(job, left, scheduler) if scheduler else _here(job, left, load)
        for part, scored in scoring:
            if isinstance(scored, DataError):
                findings += scored.findings
            elif part.number not in done:
                tally.add_part(scored.tally)
                done[part.number] = scored
                print(f"{len(done):,} of {len(parts):,} parts", file=sys.stderr, flush=True)
        if findings:
            raise DataError(*findings)
        there = storage.names_in(job.out)
        left = [part for part in parts if done[part.number].record.file not in there]
    return done, tally


def _here(job: Job, parts: Sequence[Part], load: Load) -> Iterator[tuple[Part, Scored | DataError]]:
    for part in parts:
        try:
            yield part, score_part(job, part, load)
        except DataError as error:
            yield part, error


def _on_cluster(
    job: Job, parts: Sequence[Part], scheduler: str
) -> Iterator[tuple[Part, Scored | DataError]]:
    """In the order in which they end. A part whose worker dies runs on another one."""
    import distributed

    with cluster.connected(scheduler) as client:
        # a worker has a thread for each of its cores
        load = partial(load_once, job.tracking_uri, job.model, job.model_sha256, job.coverage)
        submit: Any = client.submit  # typed in part only
        as_completed: Any = distributed.as_completed
        part_of = {submit(score_part, job, part, load, pure=False): part for part in parts}
        for future in as_completed(part_of, loop=client.loop):
            # Dask cancels all when it loses the scheduler
            if future.status in ("cancelled", "lost"):
                raise ServiceError(f"scheduler: {scheduler} is gone")
            error = future.exception()
            if isinstance(error, DigitsError) and not isinstance(error, DataError):
                raise error
            if error and not isinstance(error, DataError):
                reason = f"{type(error).__name__}: {one_line(error, width=300)}"
                raise ServiceError(f"{part_of[future].input}: on a worker: {reason}")
            yield part_of[future], error or future.result()
            future.release()


def _delete_others(job: Job, parts: Sequence[Part]) -> None:
    """Delete parts of other versions or inputs, which readers of the folder would read, too.

    Only those with a record: files of Spark and others are named alike.
    """
    ours = {job.key(part) for part in parts}
    records = storage.names_in(f"{job.out}/_parts")
    found = {match[1] for name in storage.names_in(job.out) if (match := PART.fullmatch(name))}
    others = sorted(key for key in found - ours if f"{key}.json" in records)
    storage.delete([f"{job.out}/part-{key}.parquet" for key in others])
    storage.delete([f"{job.out}/_parts/{key}.json" for key in others])
