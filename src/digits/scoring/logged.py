"""What a served model logged, from a folder of Parquet files by day; labels that arrive later."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from digits.core.dataset import Images
from digits.core.errors import DataError
from digits.core.files import reading_as
from digits.registry.served import Served
from digits.scoring.inputs import BATCH, open_parquet

MAX_LABELS_BYTES = 200_000_000
COLUMNS = ["at", "image", "predicted", "set_size", "model"]


class Log(NamedTuple):
    """The last days of a log: `newest` is the time of its last row, `model` who answered it.

    `model` is the address of a version.
    """

    files: list[Path]
    since: datetime
    newest: datetime
    model: str


class Logged(NamedTuple):
    """Rows of one version in a log: images uint8 (n, height, width), and of each its answer.

    `answers` has the columns `predicted` and `set_size`, and microseconds since 1970 as index.
    `others` counts rows of other versions.
    """

    images: Images
    answers: pd.DataFrame
    others: int


def open_log(folder: Path, *, days: int) -> Log | None:
    """The rows of the `days` × 24 hours before the newest row; None for other inputs."""
    # the service writes to names that begin with a dot
    files = sorted(folder.rglob("[!.]*.parquet")) if folder.is_dir() else []
    if not files:
        return None
    with reading_as("a service's log", files[-1]):
        rows = [row for batch in _batches(files[-1], ["at", "model"]) for row in batch.to_pylist()]
        last = max(rows, key=lambda row: row["at"])
        since = last["at"] - timedelta(days=days)
    # folders are called by day, which saves reading those before
    recent = [path for path in files if path.parent.name >= f"{since:%Y-%m-%d}"]
    name, _, version = last["model"].rpartition(" ")
    return Log(recent, since, last["at"], f"models:/{name}/{version}")


def read_log(log: Log, model: Served) -> Iterator[Logged]:
    """The rows that a model answered, in batches; DataError if it cannot have answered them."""
    title = f"{model.origin.model} {model.origin.version}"  # as a service calls it
    shape, classes = model.files.shape, model.files.classes
    for path in log.files:
        with reading_as("a service's log", path):
            for batch in _batches(path, COLUMNS):
                recent = batch.filter(pc.greater(batch["at"], pa.scalar(log.since)))
                own = recent.filter(pc.equal(recent["model"].cast(pa.string()), title))
                answers = own.select(["predicted", "set_size"]).to_pandas().astype(np.int64)
                if not answers["predicted"].between(0, classes - 1).all():
                    raise DataError(f"{path} column predicted: a class outside 0…{classes - 1}")
                images = own["image"].to_pylist()
                if any(len(image) != prod(shape) for image in images):
                    raise DataError(f"{path} column image: no images of {shape[0]}×{shape[1]}")
                pixels = np.frombuffer(b"".join(images), np.uint8).reshape(-1, *shape)
                at = own["at"].cast(pa.int64()).to_numpy()
                yield Logged(pixels, answers.set_index(at), len(recent) - len(own))


def read_labels(path: Path, *, key: str, classes: int) -> "pd.Series[int]":
    """Labels from a CSV or Parquet file with the columns `label` and `key`, which is the index.

    The key is `at` (becomes microseconds since 1970), `row`, or `file`. Raises a DataError.
    """
    if not path.is_file() or path.stat().st_size > MAX_LABELS_BYTES:
        raise DataError(f"{path}: no CSV or Parquet file of at most {MAX_LABELS_BYTES:,} bytes")
    with reading_as("labels", path):
        if path.suffix == ".parquet":
            with open_parquet(path) as table:
                frame: pd.DataFrame = table.read([key, "label"]).to_pandas()
        else:
            frame = pd.read_csv(path, usecols=[key, "label"], dtype={"file": str})
        if frame.isna().any(axis=None):
            raise DataError(f"{path}: an empty cell; each row needs {key} and label")
        if key == "at":
            at = pd.to_datetime(frame["at"], utc=True)
            frame["at"] = at.dt.as_unit("us").astype("int64")
    labels = frame.set_index(key)["label"]
    if not len(labels) or labels.dtype.kind not in "iu" or not labels.between(0, classes - 1).all():
        raise DataError(f"{path} column label: whole numbers 0…{classes - 1} are needed")
    if labels.index.has_duplicates:
        raise DataError(f"{path} column {key}: a value occurs twice")
    return labels


def _batches(path: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    with open_parquet(path) as file:
        for batch in file.iter_batches(BATCH, columns=columns):
            if any(batch[name].null_count for name in columns):
                raise DataError(f"{path}: an empty cell; none is allowed")
            yield batch
