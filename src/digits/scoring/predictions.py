"""Files of predictions: a Parquet file for each input, written whole; kept if it is there."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import PurePosixPath
from typing import NamedTuple

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from fsspec.core import strip_protocol  # type: ignore[import-untyped]

from digits.core import process
from digits.core.dataset import Predict
from digits.core.errors import DataError, UsageError, printable
from digits.evaluation.confidence import answer_sets
from digits.registry.served import Served, served
from digits.registry.trace import Origin
from digits.scoring import storage
from digits.scoring.drift import image_stats
from digits.scoring.inputs import Batch, content_md5, open_input
from digits.scoring.pictures import is_picture
from digits.scoring.predict import set_threshold
from digits.tracking import store

COUNTED = ("row", "file", "picture", "predicted", "set_size", "mean_ink", "contrast")


class Job(NamedTuple):
    """An input to score: its address, and that of its predictions.

    `stamp` names what decides these: version, hash of the model, coverage, and the input's state.
    Without it they are never kept.
    """

    source: str
    output: str
    stamp: str = ""


def plan(source: str, out: str, origin: Origin, coverage: float) -> list[Job]:
    """One job for a file `out`; for a folder one per table: `SOURCE/a/b.npz` → `OUT/a/b.parquet`.

    UsageError if an output would be an input, or that of two inputs.
    """
    if not storage.is_folder(out):
        if storage.absolute(source) == storage.absolute(out):
            raise UsageError(f"--out: {out} is the input itself; choose another file")
        return [Job(source, out)]
    source, out = storage.absolute(source), storage.absolute(out)
    scored_by = f"{origin.uri} {origin.model_sha256} {coverage}"
    jobs: dict[str, Job] = {}
    files = storage.stored_files(source)
    for file in files:
        if is_picture(file):
            continue
        below = PurePosixPath(file[len(source) + 1 :] or PurePosixPath(source).name)
        output = f"{out}/{below.with_suffix('.parquet')}"
        if output in jobs:
            raise UsageError(f"{jobs[output].source} and {file} give one {output}; rename one")
        jobs[output] = Job(file, output, f"{scored_by} {file} {files[file]}")
    if not jobs:
        raise DataError(f"{source}: no tables in it; pictures are scored with --out FILE")
    if f"{out}/".startswith(f"{source}/") or jobs.keys() & set(map(storage.absolute, files)):
        raise UsageError(f"--out: {out} is among the inputs; choose a folder outside")
    return list(jobs.values())


def write_predictions(job: Job, model: Served, coverage: float) -> int:
    """Write the predictions of all images, unless they are there; the number of rows written.

    Columns: `row`, or `file` and `picture` (its treatment; see `pictures.TREATMENTS`) ·
    `predicted` · `set_size` (how many classes the answer set has, the most probable ones) · `p0`,
    `p1`, … (probabilities, float32) · `mean_ink`, `contrast` (see `drift.image_stats`) · `model`
    (its address with version) · `input` · `data_md5`.

    A bad input is a DataError; nothing is written.
    """
    if job.stamp and _stamp(job.output) == job.stamp:
        return 0
    with storage.local_copy(job.source) as path, storage.writing(job.output) as temporary:
        batches = open_input(path, shape=model.files.shape, picture=model.picture)
        known = {"model": model.origin.uri, "input": printable(job.source)}
        known["data_md5"] = content_md5(path)
        limit = set_threshold(model, coverage)
        tables = (_table(batch, model.predict, limit, known) for batch in batches)
        first, rows = next(tables), 0
        schema = first.schema.with_metadata({"stamp": job.stamp})
        with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
            for table in chain([first], tables):
                writer.write_table(table)
                rows += len(table)
    return rows


def write_on_worker(job: Job, tracking_uri: str, uri: str, coverage: float) -> int:
    """`write_predictions` by the version at `uri`, in another process such as a worker of Dask."""
    process.set_environment()
    mlflow.set_tracking_uri(tracking_uri)
    with store.service_errors(), served(uri, threads=1) as model:
        return write_predictions(job, model, coverage)


def read_counted(jobs: Sequence[Job]) -> pd.DataFrame:
    """The COUNTED columns of all predictions; `row` or `file` is the index."""
    with storage.filesystem_of(jobs[0].output) as (filesystem, _):
        names = [strip_protocol(job.output) for job in jobs]
        dataset = ds.dataset(names, format="parquet", filesystem=filesystem)
        first, *others = [name for name in dataset.schema.names if name in COUNTED]
        frame: pd.DataFrame = dataset.to_table([first, *others]).to_pandas()
        return frame.set_index(first)


def _table(batch: Batch, predict: Predict, limit: float, known: Mapping[str, str]) -> pa.Table:
    probabilities = predict(batch.images)
    columns = {"file" if batch.treatments else "row": pa.array(batch.names)}
    if batch.treatments:
        columns["picture"] = pa.array(batch.treatments)
    columns["predicted"] = pa.array(probabilities.argmax(axis=1).astype(np.int16))
    columns["set_size"] = pa.array(answer_sets(probabilities, limit).sum(axis=1, dtype=np.int16))
    columns |= {f"p{k}": pa.array(column) for k, column in enumerate(probabilities.T)}
    columns |= {key: pa.array(values) for key, values in image_stats(batch.images).items()}
    zeros = pa.array(np.zeros(len(batch.names), np.int8))
    columns |= {key: pa.DictionaryArray.from_arrays(zeros, [value]) for key, value in known.items()}
    return pa.table(columns)


def _stamp(output: str) -> str:
    """The stamp in a file of predictions; empty if there is none, or the file is damaged."""
    with storage.filesystem_of(output) as (filesystem, name):
        if filesystem.exists(name):
            with suppress(pa.ArrowException, KeyError, TypeError), filesystem.open(name) as file:
                return str(pq.read_schema(file).metadata[b"stamp"].decode())
    return ""
