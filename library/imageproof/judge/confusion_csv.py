"""Confusion matrices as CSV: rows are predictions, columns the reference."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from imageproof.base.dataset import Matrix
from imageproof.base.errors import DataError
from imageproof.base.files import parsing, replacing

MAX_BYTES = 64 << 20  # some thousand classes
MAX_COUNT = 10**12
LAYOUT = (
    "rows of counts, with the class names before each row and in the first line, or without names"
)


def write_matrix(path: Path, matrix: Matrix, *, names: list[str]) -> None:
    with replacing(path) as temporary:
        pd.DataFrame(matrix, names, names).to_csv(temporary, index_label="prediction")


def write_cells(
    path: Path, matrices: Mapping[str, tuple[Matrix, list[str]]], *, order: Sequence[int]
) -> None:
    """Write the matrices of several models as rows `model prediction reference count`.

    The correct cells are first, in this order of the classes: plots take it for their axes.
    """
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["model", "prediction", "reference", "count"])
        for model, (matrix, names) in matrices.items():
            errors = (matrix > 0) & ~np.eye(len(names), dtype=bool)
            for row, column in [*zip(order, order, strict=True), *np.argwhere(errors)]:
                writer.writerow([model, names[row], names[column], matrix[row, column]])


def read_matrix(path: Path) -> tuple[Matrix, list[str]]:
    """Read a confusion matrix int64 (classes, classes), and the names of its classes.

    If the first cell is a number, there are no names, and the classes are numbered from 0.
    DataError if there is no such file, or it is no square table of counts.
    """
    with parsing("confusion matrix", path):
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"over {MAX_BYTES >> 20} MB long")
        table = pd.read_csv(
            path,
            header=None,
            dtype=str,
            keep_default_na=False,
            skipinitialspace=True,
            encoding="utf-8-sig",
            compression=None,
        ).to_numpy()
        named = not table[0, 0].isdecimal()
        names = [*table[0, 1:]] if named else [str(k) for k in range(len(table))]
        matrix = table[named:, named:].astype(np.int64)
    square = matrix.shape == (len(names), len(names)) and len({*names}) == len(names) > 1
    if not square or (named and [*table[1:, 0]] != names):
        raise DataError(f"{path}: is no square table of at least 2 classes; {LAYOUT}")
    if not matrix.any() or not 0 <= matrix.min() <= matrix.max() <= MAX_COUNT:
        raise DataError(f"{path}: every count is 0, or one is below 0 or over {MAX_COUNT:,}")
    inner = matrix[:-1, :-1]
    totals = [*inner.sum(axis=0), inner.sum()], [*inner.sum(axis=1), inner.sum()]
    if len(names) > 2 and np.array_equal((matrix[-1], matrix[:, -1]), totals):
        raise DataError(f"{path}: the last row and column are totals; leave them out")
    return matrix, names
