"""Score images with a registered model: files of predictions, what is odd, an MLflow run."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from fsspec.core import strip_protocol  # type: ignore[import-untyped]

from imageproof.answer import storage
from imageproof.answer.drift import Found, image_stats, record, summarise
from imageproof.answer.inputs import Batch, open_input
from imageproof.answer.predict import class_names, set_threshold
from imageproof.base import process
from imageproof.base.dataset import Probabilities
from imageproof.base.errors import DataError, UsageError, printable
from imageproof.base.pictures import is_picture
from imageproof.judge.confidence import answer_sets
from imageproof.mlflow import store
from imageproof.project import Project
from imageproof.registry.served import Served, served
from imageproof.registry.trace import Origin

COUNTED = ("row", "file", "predicted", "set_size", "mean_ink", "contrast")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreResult(Found):
    """What was found; `kept` of the `files` of predictions were there before."""

    input: str
    output: str
    rows_per_s: float
    coverage: float
    files: int
    kept: int


class Job(NamedTuple):
    """An input and its predictions; `stamp` names what decides these, without it none are kept."""

    source: str
    output: str
    stamp: str = ""


def score(source: str, out: str, model: Served, *, project: Project) -> ScoreResult:
    """Write a prediction for every image to a Parquet file, or of each table to one in a folder.

    Inputs that cannot be read are findings of one DataError; the others are finished.
    """
    jobs = plan(source, out, model.origin, project)
    findings: list[str] = []
    written: list[int] = []
    started = time.perf_counter()
    for job in jobs:
        try:
            written.append(write_predictions(job, model, project))
        except DataError as error:
            findings += error.findings
    if findings:
        raise DataError(*findings)
    rate = sum(written) / (time.perf_counter() - started)
    result = ScoreResult(
        input=printable(source),
        output=printable(out),
        rows_per_s=rate,
        coverage=project.confidence.coverage,
        files=len(jobs),
        kept=written.count(0),
        # the features are left to the monitor: they ask the network for 8,000 images more
        **summarise(_read_counted(jobs), model, project),
    )
    settings = {"input": result.input, "output": result.output}
    record(result, "score", project, settings=settings, metrics={"rows_per_s": rate})
    return result


def plan(source: str, out: str, origin: Origin, project: Project) -> list[Job]:
    """One job for a file `out`; for a folder one per table: `SOURCE/a/b.npz` → `OUT/a/b.parquet`.

    UsageError if `out` names nothing, or an output would be an input, or that of two inputs.
    """
    is_text = out == out.encode(errors="replace").decode()  # else pyarrow cannot write there
    if not out.rpartition("://")[2].strip("/") or not is_text:
        raise UsageError(f"--out {out!r}: FILE, FOLDER/ or s3://BUCKET/FOLDER/ in UTF-8 is allowed")
    if not storage.is_folder(out):
        if Path(out).exists() and not Path(out).is_file():  # root would replace /dev/null
            raise UsageError(f"--out: {out} is a pipe or a device; a file is allowed")
        inputs = map(storage.absolute, map(str, Path(source).glob("*")))  # may be links
        if storage.is_within(out, source) or storage.absolute(out) in inputs:
            raise UsageError(f"--out: {out} is the input itself, or in it; choose another file")
        return [Job(source, out)]
    source, out = storage.absolute(source), storage.absolute(out)
    jobs: dict[str, Job] = {}
    files = storage.stored_files(source)
    settings = f"{origin.uri} {origin.model_sha256} {project.confidence.coverage}"
    settings += f" {project.data.class_names}"
    for file in filter(lambda name: not is_picture(name), files):
        below = PurePosixPath(file[len(source) + 1 :] or PurePosixPath(source).name)
        output = f"{out}/{below.with_suffix('.parquet')}"
        if output in jobs:
            raise UsageError(f"{jobs[output].source} and {file} give one {output}; rename one")
        jobs[output] = Job(file, output, f"{settings} {file} {files[file]}")
    if not jobs:
        raise DataError(f"{source}: no tables in it; pictures are scored with --out FILE")
    is_around = storage.is_within(source, out) and source not in files
    if storage.is_within(out, source) or is_around or files.keys() & jobs.keys():
        raise UsageError(f"--out: {out} is among the inputs, or around them; choose another folder")
    return list(jobs.values())


def write_predictions(job: Job, model: Served, project: Project) -> int:
    """Write the predictions of all images, unless they are there; the number of rows written.

    Columns: `row`, or `file` and `picture` (its treatment; see `pictures.TREATMENTS`) ·
    those of `_answers` · `p0`, `p1`, … (probabilities) · `mean_ink`, `contrast` (see
    `drift.image_stats`) · `model` · `input`. A bad input is a DataError; nothing is written.
    """
    if job.stamp and _stamp(job.output) == job.stamp:
        return 0
    with storage.local_copy(job.source) as path, storage.writing(job.output) as temporary:
        batches = open_input(path, shape=model.files.shape, fit=model.fit)
        limit = set_threshold(model, project.confidence.coverage)
        tables = (_table(batch, model, limit, job, project) for batch in batches)
        first, rows = next(tables), 0
        schema = first.schema.with_metadata({"stamp": job.stamp})
        with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
            for table in chain([first], tables):
                writer.write_table(table)
                rows += len(table)
    return rows


def write_on_worker(job: Job, tracking_uri: str, uri: str, project: Project) -> int:
    """`write_predictions` by the version at `uri`, in another process such as a worker of Dask."""
    process.set_environment()
    mlflow.set_tracking_uri(tracking_uri)
    with store.service_errors(), served(uri, threads=1) as model:
        return write_predictions(job, model, project)


def _table(batch: Batch, model: Served, limit: float, job: Job, project: Project) -> pa.Table:
    probabilities, rows = model.predict(batch.images), len(batch.images)
    of_pictures = {"file": batch.names, "picture": batch.treatments}
    columns = {
        **(of_pictures if batch.treatments else {"row": batch.names}),
        **_answers(probabilities, limit, class_names(model, project)),
        **{f"p{k}": column for k, column in enumerate(probabilities.T)},
        **image_stats(batch.images),
        "model": pa.repeat(model.origin.uri, rows).dictionary_encode(),
        "input": pa.repeat(printable(job.source), rows).dictionary_encode(),
    }
    return pa.table(columns)


def _answers(probabilities: Probabilities, limit: float, names: list[str] | None) -> dict[str, Any]:
    """`answer_set` has `set_size` classes, the most probable first; `names` add two columns."""
    predicted = probabilities.argmax(axis=1).astype(np.int16)
    sets = answer_sets(probabilities, limit)
    sizes = sets.sum(axis=1, dtype=np.int16)
    order = np.argsort(-probabilities, axis=1, kind="stable").astype(np.int16)
    members = order[np.take_along_axis(sets, order, axis=1)]
    starts = np.concatenate([[0], sizes.cumsum(dtype=np.int32)]).astype(np.int32)
    columns: dict[str, Any] = {"predicted": predicted, "set_size": sizes}
    columns["answer_set"] = pa.ListArray.from_arrays(starts, members)
    if names:
        columns["predicted_name"] = pa.array(names).take(predicted)
        columns["answer_names"] = pa.ListArray.from_arrays(starts, pa.array(names).take(members))
    return columns


def _stamp(output: str) -> str:
    with storage.filesystem_of(output) as (filesystem, name):
        if filesystem.exists(name):
            with suppress(pa.ArrowException, KeyError, TypeError), filesystem.open(name) as file:
                return str(pq.read_schema(file).metadata[b"stamp"].decode())
    return ""


def _read_counted(jobs: Sequence[Job]) -> pd.DataFrame:
    with storage.filesystem_of(jobs[0].output) as (filesystem, _):
        names = [strip_protocol(job.output) for job in jobs]
        dataset = ds.dataset(names, format="parquet", filesystem=filesystem)
        first, *others = [name for name in dataset.schema.names if name in COUNTED]
        frame: pd.DataFrame = dataset.to_table([first, *others]).to_pandas()
        return frame.set_index(first)
