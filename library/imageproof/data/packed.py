"""What the `pack` stage leaves: all images in one file that is mapped, and their rows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from imageproof.base._dataset import Dataset, Images, Rows
from imageproof.base.errors import DataError
from imageproof.base.files import parsing, read_json, replacing

if TYPE_CHECKING:
    import pandas as pd
    from pyarrow import Table

IMAGES = "images.npy"
ROWS = "rows.parquet"
SUMMARY = "pack.json"
SOURCE_HASH = "source_hash"  # of an image as it was read, at its own size
META = "meta_"  # begins the name of each column of labels.csv beside file and label


class Packed(NamedTuple):
    """Images uint8 (n, height, width) or (n, height, width, 3), mapped, and a row for each.

    `rows` has part (train, then test), row (from 0 in its part), label, file, name (as findings
    name it), height, width and mode (grey or colour) as stored, fault (why a picture cannot be
    read), what `packing.describe` finds, and `meta_…` of labels.csv. Of its hash there is the
    rank, a number: bytes would take ten times the memory. `load_hashes` reads the hash of the
    source.
    """

    images: Images
    rows: "pd.DataFrame"

    @property
    def train(self) -> Dataset:
        """The images and labels of the training part."""
        count = (self.rows["part"] == "train").sum()
        return Dataset(self.images[:count], self.rows["label"].to_numpy()[:count])


def load(out: Path, *, columns: list[str] | None = None) -> Packed:
    """Read what `pack` wrote, of its rows these columns or all.

    A DataError if it is missing or damaged.
    """
    table = _read_rows(out, columns)
    with parsing("images", out / IMAGES):
        images = np.asarray(np.load(out / IMAGES, mmap_mode="r", allow_pickle=False))
    if "hash" in table.column_names:
        from pyarrow import compute

        ranks = compute.rank(table["hash"], tiebreaker="dense")
        table = table.drop_columns("hash").append_column("hash", ranks)
    # no second copy; its metadata would make bytes of the hash again
    rows = table.to_pandas(split_blocks=True, self_destruct=True, ignore_metadata=True)
    del table
    if len(images) != len(rows):
        raise DataError(f"{out}: {IMAGES} has {len(images):,} images, {ROWS} {len(rows):,} rows")
    return Packed(images, rows)


def load_hashes(out: Path) -> "pd.Series[str]":
    """The fingerprint of each image as it was read, before packing, in hex; "" of a fault.

    It is the BLAKE2b (16 bytes) of an array's row, or of a picture's decoded pixels at its own
    size: it stays when other images come or go, and when `data.image` changes.
    """
    return hex_hashes(_read_rows(out, [SOURCE_HASH])[SOURCE_HASH].to_pandas())


def load_metadata(out: Path, rows: Rows) -> "pd.DataFrame":
    """What labels.csv says of these images beside file and label, as text; else no columns."""
    metadata: pd.DataFrame = _read_rows(out, [META]).take(rows).to_pandas()
    return metadata.rename(columns=lambda name: name.removeprefix(META))


def load_summary(out: Path) -> dict[str, Any]:
    """`class_names` (null without folders or labels.csv), and `sources`: the parts of the data."""
    return read_json(out / SUMMARY, dict[str, Any])


def save_split_hashes(
    path: Path,
    parts: Mapping[str, Rows],
    hashes: "pd.Series[str]",
) -> None:
    """Write the hash of `load_hashes` of each row of each part, in the order of the part's rows."""
    import pandas as pd

    tables = [
        pd.DataFrame({"part": part, "hash": hashes.iloc[rows].map(bytes.fromhex)})
        for part, rows in parts.items()
    ]
    with replacing(path) as temporary:
        pd.concat(tables, ignore_index=True).to_parquet(temporary)


def load_split_hashes(path: Path, part: str) -> list[str]:
    """The hash of each row of a part, in hex; in the order of the rows in its npz."""
    from pyarrow import parquet

    with parsing("hashes of rows", path):
        table = parquet.read_table(path, filters=[("part", "==", part)])
        return [digest.hex() for digest in table["hash"].to_pylist()]


def _read_rows(out: Path, columns: Sequence[str] | None) -> "Table":
    """These columns, or all but the hash of the source; META stands for those of labels.csv."""
    path = out / ROWS
    if not path.exists():
        raise DataError(f"{path}: not found; `dvc repro pack` makes it")
    from pyarrow import parquet  # half a second, which all commands would wait

    with parsing("rows of images", path):
        names = parquet.read_schema(path).names
        if columns is None:
            columns = [name for name in names if name != SOURCE_HASH]
        elif META in columns:
            columns = [name for name in names if name in columns or name.startswith(META)]
        repeated = ["part", "mode", "fault"]  # few different values
        return parquet.read_table(path, columns=columns, read_dictionary=repeated)


def hex_hashes(hashes: "pd.Series[bytes]") -> "pd.Series[str]":
    """Each hash in hex; "" where there is none."""
    return hashes.map(bytes.hex, na_action="ignore").fillna("")
