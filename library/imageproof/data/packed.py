"""What the `pack` stage leaves: all images in one file that is mapped, and their rows."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from imageproof.base.dataset import Dataset, Images, Rows, check_shape
from imageproof.base.errors import DataError
from imageproof.base.files import read_json, reading_as

if TYPE_CHECKING:
    import pandas as pd

IMAGES, ROWS, SUMMARY = "images.npy", "rows.parquet", "pack.json"
SOURCE_HASH = "source_hash"  # only if not all images are packed as they were read
META = "meta_"  # begins the name of each column of labels.csv beside file and label


class Packed(NamedTuple):
    """Images uint8 (n, height, width) or (n, height, width, 3), mapped, and a row for each.

    `rows` has part (train, then test), row (from 0 in its part), label, file, name (as findings
    name it), height, width and mode (grey or colour) as stored, fault (why a picture cannot be
    read), what `packing.describe` finds, and `meta_…` of labels.csv. Of its hash there is the
    rank, a number: bytes would take ten times the memory.
    """

    images: Images
    rows: "pd.DataFrame"

    def part(self, name: str) -> Dataset:
        """The images and labels of `train` or `test`."""
        own = np.flatnonzero(self.rows["part"] == name)
        start, end = (own[0], own[-1] + 1) if len(own) else (0, 0)
        return Dataset(self.images[start:end], self.rows["label"].to_numpy()[start:end])


def load(out: Path, *, columns: list[str] | None = None) -> Packed:
    """Read what `pack` wrote, of its rows these columns or all.

    A DataError if it is missing or damaged.
    """
    if not (out / SUMMARY).exists():
        raise DataError(f"{out}: not found; `dvc repro pack` makes it")
    from pyarrow import compute, parquet  # half a second, which all commands would wait

    with reading_as("packed images", out):
        images = np.asarray(np.load(out / IMAGES, mmap_mode="r", allow_pickle=False))
        few = ["part", "mode", "fault"]  # different values
        names = parquet.read_schema(out / ROWS).names
        columns = columns or [name for name in names if name != SOURCE_HASH]
        table = parquet.read_table(out / ROWS, columns=columns, read_dictionary=few)
        if "hash" in table.column_names:
            numbers = compute.rank(table["hash"], tiebreaker="dense")
            table = table.drop_columns("hash").append_column("hash", numbers)
        # no second copy; its metadata would make bytes of the hash again
        rows = table.to_pandas(split_blocks=True, self_destruct=True, ignore_metadata=True)
        del table
        check_shape(images.shape[1:])
        if images.dtype != np.uint8 or len(images) != len(rows):
            raise ValueError(f"{IMAGES} is no uint8 (n, …) of the {len(rows):,} rows in {ROWS}")
    return Packed(images, rows)


def load_hashes(out: Path) -> "pd.Series[str]":
    """The BLAKE2b of each array of pixels, or file of a picture, as it was read; "" of a fault."""
    from pyarrow import parquet

    with reading_as("rows of images", out / ROWS):
        names = parquet.read_schema(out / ROWS).names
        column = SOURCE_HASH if SOURCE_HASH in names else "hash"
        table = parquet.read_table(out / ROWS, columns=[column])
        return hex_hashes(table[column].to_pandas())


def hex_hashes(hashes: "pd.Series[bytes]") -> "pd.Series[str]":
    return hashes.map(bytes.hex, na_action="ignore").fillna("")


def load_metadata(out: Path, rows: Rows) -> "pd.DataFrame":
    """What labels.csv says of these images beside file and label, as text; else no columns."""
    if not (out / ROWS).exists():
        raise DataError(f"{out / ROWS}: not found; `dvc repro pack` makes it")
    from pyarrow import parquet

    with reading_as("rows of images", out / ROWS):
        names = parquet.read_schema(out / ROWS).names
        table = parquet.read_table(out / ROWS, columns=[n for n in names if n.startswith(META)])
        known: pd.DataFrame = table.take(rows).to_pandas()
        return known.rename(columns=lambda name: name.removeprefix(META))


def load_summary(out: Path) -> dict[str, Any]:
    """`class_names` (null without folders or labels.csv), and `sources`: the parts of the data."""
    return read_json(out / SUMMARY, dict[str, Any], keys=("class_names", "sources"))
