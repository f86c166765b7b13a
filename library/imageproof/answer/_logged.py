"""What a served model logged, from a folder of Parquet files by day; labels that arrive later."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from imageproof.answer._inputs import open_parquet
from imageproof.base._class_names import spelled
from imageproof.base._dataset import Images, Shape
from imageproof.base.errors import DataError
from imageproof.base.files import parsing
from imageproof.base.text import first_names
from imageproof.data.readers._table import read_table
from imageproof.registry._version import Version

# limits of one file; a service writes 4 MB of images at a time
MAX_ROWS = 1_000_000
MAX_IMAGES = 50_000_000  # bytes
COLUMNS = ["at", "image", "predicted", "set_size", "model"]
RANDOM = "random"  # a column of labels
SHADOW = "shadow"  # the folder of a challenger's answers, and the column of who was asked, too


class Log(NamedTuple):
    """The files of a service's log that may have rows of the last `days` × 24 hours."""

    files: list[Path]
    days: int
    since: datetime
    newest: datetime  # when the newest row was answered
    model: str  # who answered it


class Logged(NamedTuple):
    """Rows that one version answered: `predicted`, `set_size`, `shadow` and `server` of each."""

    images: Images
    answers: pd.DataFrame  # by microseconds since 1970
    other_keys: "pd.Series[int]"  # microseconds of the rows of other versions


def open_log(folder: Path, *, days: int, shadow: bool = False) -> Log | None:
    """The rows of the `days` × 24 hours before the newest row, or those of challengers (`shadow`).

    None for other inputs.
    """
    # servers may have folders each; they write to names that begin with a dot
    paths = folder.rglob("[!.]*.parquet")
    files = [path for path in paths if (SHADOW in path.relative_to(folder).parts) == shadow]
    files.sort(key=lambda path: (path.parent.name, path.name))
    if not files:
        return None
    with parsing("a service's log", files[-1]):
        rows = _read(files[-1], ["at", "model"])
        last = rows.iloc[int(rows["at"].argmax())]
        uri = _uri(last["model"])
    newest = last["at"].to_pydatetime()
    since = newest - timedelta(days=days)
    # folders are called by day, which saves reading those before
    recent = [path for path in files if path.parent.name >= f"{since:%Y-%m-%d}"]
    return Log(recent, days, since, newest, uri)


def read_log(log: Log, model: Version) -> Iterator[Logged]:
    """The rows that a model answered, by file; DataError if it cannot have answered them."""
    for path in filter(Path.exists, log.files):  # a service may delete its oldest meanwhile
        with parsing("a service's log", path):
            rows = _read(path, COLUMNS)
            recent = rows[rows["at"] > log.since]
            is_answered = recent["model"].map(_uri) == model.origin.uri
            answered = recent[is_answered]
            images = _images(path, answered, model.files.shape)
            answers = _answers(path, answered, model.files.classes)
            others = _microseconds(recent.loc[~is_answered, "at"])
            yield Logged(images, answers, others)


def read_shadow(log: Log) -> pd.DataFrame:
    """What challengers `predicted`, by microseconds, and their `model`; -1 is no probabilities."""
    parts = []
    for path in log.files:
        with parsing("a challenger's log", path):
            rows = _read(path, ["at", "predicted", "model"])
            rows["model"] = rows["model"].map(_uri)
            rows["predicted"] = rows["predicted"].astype(np.int64)
            parts.append(rows.set_index(_microseconds(rows["at"])))
    table = pd.concat(parts)
    return table[~table.index.duplicated()]


def _uri(title: str) -> str:
    name, _, version = title.rpartition(" ")
    return f"models:/{name}/{version}"


def _images(path: Path, rows: pd.DataFrame, shape: Shape) -> Images:
    size = prod(shape)
    right = rows["image"].map(len) == size
    _check(path, "image", right, f"no image of {'×'.join(map(str, shape))}")
    if len(rows) * size > MAX_IMAGES:
        raise DataError(f"{path}: over {MAX_IMAGES:,} bytes of images")
    content = b"".join(rows["image"])
    return np.frombuffer(content, np.uint8).reshape(-1, *shape)


def _answers(path: Path, rows: pd.DataFrame, classes: int) -> pd.DataFrame:
    right = rows["predicted"].isin(range(classes))
    _check(path, "predicted", right, f"a class 0…{classes - 1} is needed")
    right = rows["set_size"].isin(range(classes + 1))
    _check(path, "set_size", right, f"a count 0…{classes} is needed")
    answers = rows[["predicted", "set_size", "server"]].astype(np.int64)
    answers[SHADOW] = np.asarray(rows.get(SHADOW, False), bool)
    return answers.set_index(_microseconds(rows["at"]))


def _microseconds(times: pd.Series) -> "pd.Series[int]":
    microseconds: pd.Series[int] = times.dt.as_unit("us").astype(np.int64)
    return microseconds


def read_labels(path: Path, *, key: str, names: Sequence[str]) -> pd.DataFrame:
    """Labels from a CSV file with the columns `label` and `key`, which is the index.

    A label is one of the `names` of the model's classes; it becomes the class's number. The key is
    `at` (becomes microseconds since 1970), `row`, or `file`. Of a table with a column `random` only
    rows that were drawn at random count.
    """
    frame = read_table(path, [key, "label"])
    has_key = frame[key].str.contains("." if key == "file" else r"\d")  # now and NaT are times, too
    _check(path, key, has_key, "an empty cell" if key == "file" else "no digit in it")
    with parsing("labels", path):
        if key == "at":
            # a whole second is written without a fraction; 01/02/2025 could be either of two days
            frame["at"] = _microseconds(pd.to_datetime(frame["at"], utc=True, format="ISO8601"))
        if key == "row":
            frame["row"] = pd.to_numeric(frame["row"])
    _check(path, key, ~frame[key].duplicated(), "a value occurs twice")
    if RANDOM in frame:
        drawn = frame[RANDOM].str.lower()
        right = drawn.isin(["true", "false", "1", "0"])
        _check(path, RANDOM, right, "true, false, 1 or 0 is needed")
        frame = frame[drawn.isin(["true", "1"])]
    if frame.empty:
        raise DataError(f"{path}: has no row{', or no random one' * (RANDOM in frame)}")
    numbers = {name: number for number, name in enumerate(names)}
    labels = frame["label"]
    frame["label"] = labels.map(spelled).map(numbers)
    is_class = frame["label"].notna()
    strangers = [*map(repr, labels[~is_class])]  # one may be empty
    wrong = f"{first_names(strangers)}: no class; {first_names(names)} are"
    _check(path, "label", is_class, wrong)
    return frame.set_index(key)


def _read(path: Path, columns: list[str]) -> pd.DataFrame:
    # equal texts are kept once, so that no repeated one fills the memory
    once = [name for name in ("image", "model") if name in columns]
    lacking = {*columns}.difference(pq.read_schema(path).names)
    if lacking:
        raise DataError(f"{path}: lacks {first_names(sorted(lacking))}, which a service's log has")
    with open_parquet(path, most_rows=MAX_ROWS, once=once) as file:
        if not file.metadata.num_rows:
            raise DataError(f"{path}: is a log without rows")
        frame: pd.DataFrame = file.read([*columns, SHADOW, "server"]).to_pandas()
    frame["server"] = frame.get("server", 0)
    tomorrow = datetime.now(UTC) + timedelta(days=1)  # a service's clock may be ahead
    _check(path, "at", frame["at"] <= tomorrow, f"no time, or one after now ({tomorrow:%Y-%m-%d})")
    return frame


def _check(
    path: Path,
    column: object,
    right: "pd.Series[bool]",
    wrong: str,
) -> None:
    if not right.all():
        raise DataError(f"{path} row {right.idxmin()} column {column}: {wrong}")
