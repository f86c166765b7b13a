"""Predictions as Parquet, a row group per batch."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from digits.core.files import replacing
from digits.scoring.inputs import Batch


class Predictions:
    """A Parquet file that is being written.

    Columns: `row`, or `file` and `picture` (how it became an image; see `images.TREATMENTS`) ·
    `predicted` · `p0`, `p1`, … (probabilities, float32) · `model` (its address with version) ·
    `data_md5`.
    """

    def __init__(self, path: Path, *, model: str, data_md5: str) -> None:
        self._path, self._model, self._data_md5 = path, model, data_md5
        self._writer: pq.ParquetWriter | None = None

    def write(self, batch: Batch, probabilities: np.ndarray) -> None:
        """Add one batch with its probabilities float32 (n, classes)."""
        name = "file" if isinstance(batch.names[0], str) else "row"
        count = len(batch.names)
        table = pa.table(
            {
                name: pa.array(batch.names),
                **({"picture": pa.array(batch.treatments)} if batch.treatments else {}),
                "predicted": pa.array(probabilities.argmax(axis=1).astype(np.int16)),
                **{f"p{k}": pa.array(column) for k, column in enumerate(probabilities.T)},
                "model": _repeated(self._model, count),
                "data_md5": _repeated(self._data_md5, count),
            }
        )
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, table.schema, compression="zstd")
        self._writer.write_table(table)

    def close(self) -> None:
        """Write the end of the file."""
        if self._writer is not None:
            self._writer.close()


@contextmanager
def predictions(path: Path, *, model: str, data_md5: str) -> Iterator[Predictions]:
    """Predictions that take their place at `path` when the block ends well."""
    with replacing(path) as temporary:
        writer = Predictions(temporary, model=model, data_md5=data_md5)
        try:
            yield writer
        finally:
            writer.close()


def _repeated(value: str, count: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int8)), [value])
