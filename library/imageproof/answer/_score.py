"""Score images with a registered model: files of predictions, what is odd, an MLflow run."""

import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import PurePath, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from fsspec.core import strip_protocol  # type: ignore[import-untyped]

from imageproof.answer._drift import AnswerSummary, image_stats, record, summarise
from imageproof.answer._inputs import Batch, open_input
from imageproof.answer._predict import class_names, set_threshold
from imageproof.base._dataset import Probabilities
from imageproof.base.errors import DataError, UsageError
from imageproof.base.text import printable
from imageproof.judge.confidence import answer_sets, members
from imageproof.pictures._reading import is_picture
from imageproof.project import Project
from imageproof.registry._version import Version
from imageproof.system import _storage

COUNTED = {"row", "file", "predicted", "set_size", "mean_ink", "contrast"}
KEY_COLUMNS = {"answer_set", "coverage", "model", "input"}
COLUMNS = "row|file|picture|predicted|predicted_name|set_size|answer_set|answer_names|p[0-9]+"
COLUMNS += "|mean_ink|contrast|coverage|model|input"
HINT = "choose another name, or --overwrite (--missing keeps it) a table of the command `score`"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreResult(AnswerSummary):
    """The summary of all answers; `kept` of the `files` of predictions were there before."""

    input: str
    output: str
    rows_per_s: float | None  # if all were kept, nothing was timed
    coverage: float
    files: int
    kept: int


def score(
    source: str,
    out: str,
    model: Version,
    *,
    project: Project,
    missing: bool = False,
    overwrite: bool = False,
) -> ScoreResult:
    """Write a prediction for every image to a Parquet file, or of each table to one in a folder.

    `missing` keeps the files that are there, `overwrite` replaces them. Inputs that cannot be
    read are findings of one DataError; the others are finished.
    """
    outputs = plan(source, out)
    writable = to_write(outputs, missing=missing, overwrite=overwrite)
    findings: list[str] = []
    rows = 0
    started = time.perf_counter()
    for table, output in writable.items():
        try:
            rows += write_predictions(table, output, model, project)
        except DataError as error:
            findings += error.findings
    if findings:
        raise DataError(*findings)
    rate = rows / (time.perf_counter() - started) if writable else None
    # the features are left to the monitor: they ask the network for 8,000 images more
    coverage = project.confidence.coverage
    counted, other_rows = _read_counted(outputs, model.origin.uri, coverage)
    summary = summarise(counted, model, project)
    if other_rows:
        kept = "kept tables by other versions, of other inputs or with another coverage"
        summary["warnings"].append(f"{other_rows:,} rows of {kept} left out")
    result = ScoreResult(
        input=printable(source),
        output=printable(out),
        rows_per_s=rate,
        coverage=coverage,
        files=len(outputs),
        kept=len(outputs) - len(writable),
        **summary,
    )
    settings = {"input": result.input, "output": result.output}
    metrics = {"rows_per_s": rate} if rate else {}
    record(result, "score", project, settings=settings, metrics=metrics)
    return result


def plan(source: str, out: str) -> dict[str, str]:
    """The output by input: `out`; or in a folder `SOURCE/a/b.npz` → `OUT/a/b.parquet`, by table.

    UsageError if `out` names nothing, or an output would be that of two inputs.
    """
    name = out.rpartition("://")[2].strip("/")
    if not name or "::" in out:
        raise UsageError(f"--out {out!r}: FILE, FOLDER/ or s3://BUCKET/FOLDER/ is allowed")
    if not _storage.is_folder(out):
        return {source: out}
    folder = _storage.absolute(source)
    target = _storage.absolute(out)
    if PurePath(target).is_relative_to(folder):
        raise UsageError(f"--out: {out} is among the inputs; choose another folder")
    tables: dict[str, str] = {}
    for table in _storage.stored_files(folder):
        if is_picture(table):
            continue
        below = PurePosixPath(table[len(folder) + 1 :] or PurePosixPath(table).name)
        output = f"{target}/{below.with_suffix('.parquet')}"
        if output in tables:
            raise UsageError(f"{tables[output]} and {table} give one {output}; rename one")
        tables[output] = table
    if not tables:
        raise DataError(f"{source}: no tables in it; pictures are scored with --out FILE")
    return {table: output for output, table in tables.items()}


def to_write(
    outputs: Mapping[str, str],
    *,
    missing: bool,
    overwrite: bool,
) -> dict[str, str]:
    """The outputs of a plan that are written: all, or with `missing` those that are not there.

    UsageError for both options, or if one is there without any, or is no table of `score`.
    """
    if missing and overwrite:
        raise UsageError(
            "--missing keeps the tables that are there, --overwrite replaces them: give one"
        )
    replaceable = _is_scored if missing or overwrite else None
    return {
        table: output
        for table, output in outputs.items()
        if not (_storage.check_out("--out", output, replaceable, hint=HINT) and missing)
    }


def write_predictions(
    source: str,
    output: str,
    model: Version,
    project: Project,
) -> int:
    """Write the predictions of all images; the number of rows written.

    Columns: `row`, or `file` and `picture` (its treatment; see `pictures._conversion.TREATMENTS`) ·
    those of `_answers` · `p0`, `p1`, … (probabilities) · `mean_ink`, `contrast` (see
    `_drift.image_stats`) · `coverage` · `model` · `input`. A bad input is a DataError; then nothing
    is written.
    """
    with _storage.local_copy(source) as path, _storage.writing(output) as temporary:
        batches = open_input(path, shape=model.files.shape, fit=model.fit)
        limit = set_threshold(model, project.confidence.coverage)
        tables = (_table(batch, model, limit, source, project) for batch in batches)
        first = next(tables)
        with pq.ParquetWriter(temporary, first.schema, compression="zstd") as writer:
            rows = 0
            for table in chain([first], tables):
                writer.write_table(table)
                rows += len(table)
    return rows


def _table(
    batch: Batch,
    model: Version,
    limit: float,
    source: str,
    project: Project,
) -> pa.Table:
    probabilities = model.predict(batch.images)
    pictures = {"file": batch.names, "picture": batch.treatments}
    rows = len(batch.images)
    return pa.table(
        {
            **(pictures if batch.treatments else {"row": batch.names}),
            **_answers(probabilities, limit, class_names(model, project)),
            **{f"p{k}": column for k, column in enumerate(probabilities.T)},
            **image_stats(batch.images),
            "coverage": pa.repeat(project.confidence.coverage, rows),
            "model": pa.repeat(model.origin.uri, rows).dictionary_encode(),
            "input": pa.repeat(printable(source), rows).dictionary_encode(),
        }
    )


def _answers(
    probabilities: Probabilities,
    limit: float,
    names: list[str],
) -> dict[str, Any]:
    """`answer_set` has `set_size` classes, the most probable first."""
    predicted = probabilities.argmax(axis=1).astype(np.int16)
    sets = answer_sets(probabilities, limit)
    sizes = sets.sum(axis=1, dtype=np.int16)
    classes = np.concatenate(members(probabilities, sets)).astype(np.int16)
    starts = np.insert(sizes.cumsum(dtype=np.int32), 0, 0)
    texts = pa.array(names)
    return {
        "predicted": predicted,
        "set_size": sizes,
        "answer_set": pa.ListArray.from_arrays(starts, classes),
        "predicted_name": texts.take(predicted),
        "answer_names": pa.ListArray.from_arrays(starts, texts.take(classes)),
    }


def _is_scored(output: str) -> bool:
    """Whether it is a table with the columns of `write_predictions`, and no others."""
    with _storage.filesystem_of(output) as (filesystem, name):
        if not filesystem.isfile(name):
            return False
        with suppress(pa.ArrowException, OSError), filesystem.open(name) as file:
            columns = pq.read_schema(file).names
            return {*columns} >= KEY_COLUMNS and all(map(re.compile(COLUMNS).fullmatch, columns))
    return False


def _read_counted(
    outputs: Mapping[str, str],
    uri: str,
    coverage: float,
) -> tuple[pd.DataFrame, int]:
    """The columns COUNTED of all rows that this version answered for these inputs and coverage;
    and how many rows of the outputs are left out.
    """
    paths = [*outputs.values()]
    is_counted = (ds.field("model") == uri) & (ds.field("coverage") == coverage)
    is_counted &= ds.field("input").isin([*map(printable, outputs)])
    with _storage.filesystem_of(paths[0]) as (filesystem, _):
        names = [strip_protocol(_storage.absolute(path)) for path in paths]
        dataset = ds.dataset(names, format="parquet", filesystem=filesystem)
        columns = [name for name in dataset.schema.names if name in COUNTED]
        frame: pd.DataFrame = dataset.to_table(columns, is_counted).to_pandas()
        other_rows = dataset.count_rows() - len(frame)
    if frame.empty:
        finding = f"{uri} answered no row of it for this input and coverage"
        raise DataError(f"{paths[0]}: {finding}; --overwrite scores it anew")
    return frame.set_index(columns[0]), other_rows
