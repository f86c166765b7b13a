"""Parquet files from anywhere, read in batches whose memory is known before they are unpacked."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from digits.core.dataset import check_unpacked

BATCH = 1000
MAX_FOOTER = 10_000_000  # bytes of each text or list in a file's description of itself
MAX_TEXTS = 64 << 20  # bytes of a text column in one row group; Arrow takes five times as much
MAX_BATCH = 256 << 20  # bytes of a batch's texts


def open_parquet(source: Any, *, packed: int, texts: Sequence[str] = ()) -> pq.ParquetFile:
    """Open a path or a binary stream of `packed` bytes.

    `texts` names the columns of texts or bytes that will be read: as dictionaries, since one long
    value in the file may stand for many rows.

    Raises:
        ValueError: it unpacks to far more bytes than it has.
        Exception: Arrow raises a dozen kinds on damaged files.
    """
    file = pq.ParquetFile(
        source,
        read_dictionary=[*texts],
        thrift_string_size_limit=MAX_FOOTER,
        thrift_container_size_limit=MAX_FOOTER,
        page_checksum_verification=True,  # where a file has them
    )
    groups = [file.metadata.row_group(n) for n in range(file.metadata.num_row_groups)]
    check_unpacked(sum(group.total_byte_size for group in groups), packed=packed)
    for group in groups:
        for column in map(group.column, range(group.num_columns)):
            size = column.total_uncompressed_size
            if column.physical_type == "BYTE_ARRAY" and size > MAX_TEXTS:
                raise ValueError(
                    f"column {column.path_in_schema} has {size >> 20} MB in a row group;"
                    f" at most {MAX_TEXTS >> 20} MB"
                )
    return file


def batches(
    file: pq.ParquetFile, columns: Sequence[str], row_groups: Iterable[int] | None = None
) -> Iterator[pa.RecordBatch]:
    """The rows, at most 1,000 at a time, of some row groups or all; texts as texts.

    Raises:
        ValueError: the texts of a batch are too long.
    """
    wanted = None if row_groups is None else [*row_groups]
    for batch in file.iter_batches(BATCH, row_groups=wanted, columns=[*columns]):
        if len(batch):
            yield pa.record_batch([_expanded(column) for column in batch], names=batch.schema.names)


def _expanded(column: pa.Array) -> pa.Array:
    if not pa.types.is_dictionary(column.type):
        return column
    total = pc.sum(pc.take(pc.binary_length(column.dictionary), column.indices)).as_py() or 0
    if total > MAX_BATCH:
        raise ValueError(
            f"{len(column)} values have more than {MAX_BATCH >> 20} MB; at most that is allowed"
        )
    # Arrow gives the columns that it was asked to read as dictionaries indices of 32 bits
    return column.dictionary_decode() if column.type.index_type == pa.int32() else column
