"""What a served model logged, from a folder of Parquet files by day; labels that arrive later."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from digits.core.dataset import Images
from digits.core.errors import DataError
from digits.core.files import reading_as
from digits.registry.served import Served
from digits.scoring.inputs import open_parquet

MAX_LABELS_BYTES = 200_000_000
COLUMNS = ["at", "image", "predicted", "set_size", "model"]


class Log(NamedTuple):
    """The last days of a log: the time of its newest row, and the version that answered it."""

    files: list[Path]
    since: datetime
    newest: datetime
    model: str


class Logged(NamedTuple):
    """Rows of one version: images and answers; `others` counts rows of other versions.

    `answers` has the columns `predicted` and `set_size`, and microseconds since 1970 as index.
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
        rows = _read(files[-1], ["at", "model"]).sort_values("at")
        newest = rows["at"].iloc[-1].to_pydatetime()
        name, _, version = rows["model"].iloc[-1].rpartition(" ")
        since = newest - timedelta(days=days)
    # folders are called by day, which saves reading those before
    recent = [path for path in files if path.parent.name >= f"{since:%Y-%m-%d}"]
    return Log(recent, since, newest, f"models:/{name}/{version}")


def read_log(log: Log, model: Served) -> Iterator[Logged]:
    """The rows that a model answered, by file; DataError if it cannot have answered them."""
    title = f"{model.origin.model} {model.origin.version}"  # as a service calls it
    shape, classes = model.files.shape, model.files.classes
    for path in log.files:
        with reading_as("a service's log", path):
            rows = _read(path, COLUMNS)
            recent = rows[rows["at"] > log.since]
            own = recent[recent["model"] == title]
            if not own["predicted"].between(0, classes - 1).all():
                raise DataError(f"{path} column predicted: a class outside 0…{classes - 1}")
            if not (own["image"].str.len() == prod(shape)).all():
                raise DataError(f"{path} column image: no images of {shape[0]}×{shape[1]}")
            images = np.frombuffer(b"".join(own["image"]), np.uint8).reshape(-1, *shape)
            answers = own[["predicted", "set_size"]].astype(np.int64)
            answers = answers.set_index(own["at"].dt.as_unit("us").astype(np.int64))
            yield Logged(images, answers, len(recent) - len(own))


def read_labels(path: Path, *, key: str, classes: int) -> "pd.Series[int]":
    """Labels from a CSV or Parquet file with the columns `label` and `key`, which is the index.

    The key is `at` (becomes microseconds since 1970), `row`, or `file`.
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
            frame["at"] = pd.to_datetime(frame["at"], utc=True).dt.as_unit("us").astype("int64")
    labels = frame.set_index(key)["label"]
    if not len(labels) or labels.dtype.kind not in "iu" or not labels.between(0, classes - 1).all():
        raise DataError(f"{path} column label: whole numbers 0…{classes - 1} are needed")
    if labels.index.has_duplicates:
        raise DataError(f"{path} column {key}: a value occurs twice")
    return labels


def _read(path: Path, columns: list[str]) -> pd.DataFrame:
    with open_parquet(path) as file:
        frame: pd.DataFrame = file.read(columns).to_pandas()
    if frame.isna().any(axis=None):
        raise DataError(f"{path}: an empty cell; none is allowed")
    return frame
