"""Score images with a registered model: files of predictions."""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import PurePath, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from imageproof.answer._inputs import Batch, open_input
from imageproof.answer._predict import set_threshold
from imageproof.base._dataset import Probabilities
from imageproof.base.errors import DataError, UsageError
from imageproof.base.files import parsing
from imageproof.base.text import printable
from imageproof.judge.confidence import answer_sets, members
from imageproof.pictures._reading import is_picture
from imageproof.registry._version import Version
from imageproof.system import _storage

# how the answers of a table were made, the same in each of its rows
ORIGIN = ["model", "input", "coverage"]
KEY_COLUMNS = {"answer_set", *ORIGIN}
COLUMNS = "row|file|picture|predicted|predicted_name|set_size|answer_set|answer_names|p[0-9]+"
COLUMNS += "|coverage|model|input"
HINT = "choose another name, or --overwrite (--missing keeps it) a table of the command `score`"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreResult:
    """What was written to `output`: `rows` in `files` tables but for the `kept` ones."""

    model: str
    output: str
    rows: int
    files: int
    kept: int
    warnings: list[str]


def score(
    source: str,
    out: str,
    model: Version,
    *,
    coverage: float,
    missing: bool = False,
    overwrite: bool = False,
) -> ScoreResult:
    """Write a prediction for every image to a Parquet file, or of each table to one in a folder.

    `missing` keeps the files that are there, `overwrite` replaces them. Inputs that cannot be
    read are findings of one DataError; the others are finished.
    """
    uri = model.origin.uri
    writable, result = begin(source, out, uri, coverage, missing=missing, overwrite=overwrite)
    findings: list[str] = []
    rows = 0
    for table, output in writable.items():
        try:
            rows += write_predictions(table, output, model, coverage)
        except DataError as error:
            findings += error.findings
    if findings:
        raise DataError(*findings)
    return replace(result, rows=rows)


def begin(
    source: str,
    out: str,
    uri: str,
    coverage: float,
    *,
    missing: bool = False,
    overwrite: bool = False,
) -> tuple[dict[str, str], ScoreResult]:
    """The outputs to write by input: with `missing` those that are not there; a result of no rows.

    UsageError for both options, or if one is there without any, or is no table of `score`.
    """
    if missing and overwrite:
        raise UsageError(
            "--missing keeps the tables that are there, --overwrite replaces them: give one"
        )
    replaceable = _is_scored if missing or overwrite else None
    outputs = plan(source, out)
    writable = {
        table: output
        for table, output in outputs.items()
        if not (_storage.check_out("--out", output, replaceable, hint=HINT) and missing)
    }
    kept = {table: output for table, output in outputs.items() if table not in writable}
    result = ScoreResult(
        model=uri,
        output=printable(out),
        rows=0,
        files=len(outputs),
        kept=len(kept),
        warnings=_kept_warnings(kept, uri, coverage),
    )
    return writable, result


def lines(result: ScoreResult) -> list[str]:
    """What a command or flow says of it."""
    warnings = [f"warning: {warning}" for warning in result.warnings]
    kept = f", kept {result.kept:,} of {result.files:,} files" if result.kept else ""
    return [*warnings, f"rows: {result.rows:,}, by {result.model} → {result.output}{kept}"]


def plan(source: str, out: str) -> dict[str, str]:
    """The output by input: `out`; or in a folder `SOURCE/a/b.npz` → `OUT/a/b.parquet`, by table.

    UsageError if `out` names no table of Parquet, or an output would be that of two inputs.
    """
    name = out.rpartition("://")[2].strip("/")
    is_folder = _storage.is_folder(out)
    if not name or "::" in out or not (is_folder or out.endswith(".parquet")):
        raise UsageError(f"--out {out!r}: FILE.parquet, FOLDER/ or s3://BUCKET/FOLDER/ is allowed")
    if not is_folder:
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
        raise DataError(f"{source}: no tables in it; pictures are scored with --out FILE.parquet")
    return {table: output for output, table in tables.items()}


def _kept_warnings(kept: Mapping[str, str], uri: str, coverage: float) -> list[str]:
    """A line if outputs that are kept were made otherwise than the new ones."""
    different = [
        output
        for table, output in kept.items()
        if _origin(output) != (uri, printable(table), coverage)
    ]
    if not different:
        return []
    return [
        f"kept files such as {different[0]}, {len(different):,} in all, are by another version, "
        "of another input or with another coverage; --overwrite instead of --missing makes all anew"
    ]


def write_predictions(
    source: str,
    output: str,
    model: Version,
    coverage: float,
) -> int:
    """Write the predictions of all images; the number of rows written.

    Columns: `row`, or `file` and `picture` (its treatment; see `pictures._conversion.TREATMENTS`) ·
    those of `_answers` · `p0`, `p1`, … (probabilities) · ORIGIN. A bad input is a DataError; then
    nothing is written.
    """
    with _storage.local_copy(source) as path, _storage.writing(output) as temporary:
        batches = open_input(path, shape=model.files.shape, fit=model.fit)
        limit = set_threshold(model, coverage)
        tables = (_table(batch, model, limit, source, coverage) for batch in batches)
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
    coverage: float,
) -> pa.Table:
    probabilities = model.predict(batch.images)
    pictures = {"file": batch.names, "picture": batch.treatments}
    rows = len(batch.images)
    return pa.table(
        {
            **(pictures if batch.treatments else {"row": batch.names}),
            **_answers(probabilities, limit, model.files.class_names),
            **{f"p{k}": column for k, column in enumerate(probabilities.T)},
            "model": pa.repeat(model.origin.uri, rows).dictionary_encode(),
            "input": pa.repeat(printable(source), rows).dictionary_encode(),
            "coverage": pa.repeat(coverage, rows),
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


def _origin(output: str) -> tuple[str, str, float]:
    """The values of ORIGIN of a table of predictions."""
    with (
        _storage.filesystem_of(output) as (filesystem, name),
        parsing("a table of predictions", name),
        filesystem.open(name) as file,
    ):
        row = next(pq.ParquetFile(file).iter_batches(1, columns=ORIGIN)).to_pylist()[0]
    return row["model"], row["input"], row["coverage"]
