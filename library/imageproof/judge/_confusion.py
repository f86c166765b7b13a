"""Confusion matrices: what is read off them, and how they are written and read as CSV.

Every confusion matrix of this project has caret's layout: ROWS ARE PREDICTIONS, COLUMNS ARE
THE REFERENCE (the truth). scikit-learn and Keras use the transpose.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from imageproof.base._dataset import Labels, Matrix
from imageproof.base.errors import DataError
from imageproof.base.files import check_size, parsing, replacing

if TYPE_CHECKING:  # half a second, which `diff` and flows would wait
    import pandas as pd

MANY_CLASSES = 20  # up to so many, a matrix is read cell by cell
MAX_BYTES = 64 << 20  # some thousand classes
MAX_COUNT = 10**12
BY_CHANCE = 10  # rows; of more no matrix looks as if it had totals


def confusion_matrix(predicted: Labels, reference: Labels, *, classes: int) -> Matrix:
    """Count predictions, class numbers 0…classes−1, against the truth; there may be none."""
    cells = predicted * classes + reference
    return np.bincount(cells, minlength=classes**2).reshape(classes, classes)


def balance(matrix: Matrix) -> dict[str, float]:
    """`balanced_accuracy` and `macro_f1`: the means of sensitivity and of F1 over the classes.

    F1 is the harmonic mean of sensitivity and positive predictive value. A class without rows has
    no sensitivity and is left out of both; one with rows that is never predicted has an F1 of 0.
    """
    present = matrix.sum(axis=0)
    counts = np.stack([matrix.diagonal(), present, matrix.sum(axis=1)])
    hits, present, predicted = counts[:, present > 0]
    return {
        "balanced_accuracy": float(np.mean(hits / present)),
        "macro_f1": float(np.mean(2 * hits / (present + predicted))),
    }


def most_confused(matrix: Matrix, *, names: list[str]) -> "pd.DataFrame":
    """Each error that was made: `reference`, `prediction`, `rows`, and their `share` of the class.

    The most frequent one comes first, of equally frequent ones the larger share.
    """
    from pandas import DataFrame

    errors = np.where(np.eye(len(matrix), dtype=bool), 0, matrix)
    predicted, reference = np.nonzero(errors)
    rows = errors[predicted, reference]
    classes = np.array(names, dtype=object)
    table = {
        "reference": classes[reference],
        "prediction": classes[predicted],
        "rows": rows,
        "share": rows / matrix.sum(axis=0)[reference],
    }
    return DataFrame(table).sort_values(["rows", "share"], ascending=False, kind="stable")


def clustered(matrix: Matrix) -> list[int]:
    """An order of the classes in which those stand together that are taken for each other.

    Leaves of a hierarchical clustering with average linkage, by the shares of both classes that
    are taken for the other. Up to MANY_CLASSES keep their order.
    """
    if len(matrix) <= MANY_CLASSES:
        return [*range(len(matrix))]
    from scipy.cluster.hierarchy import leaves_list, linkage  # half a second to import
    from scipy.spatial.distance import squareform

    share = matrix / np.maximum(matrix.sum(axis=0), 1)
    distance = 2 - (share + share.T)
    np.fill_diagonal(distance, 0)
    # the best order of the leaves takes 0.7 s of 500 classes, but 33 s of 2,000
    tree = linkage(squareform(distance), "average", optimal_ordering=len(matrix) <= 500)
    return [*map(int, leaves_list(tree))]


def write_matrix(path: Path, matrix: Matrix, *, names: list[str]) -> None:
    from pandas import DataFrame

    with replacing(path) as temporary:
        DataFrame(matrix, names, names).to_csv(temporary, index_label="prediction")


def read_matrix(path: Path) -> tuple[Matrix, list[str]]:
    """Read a confusion matrix int64 (classes, classes), and the names of its classes.

    DataError if there is no such file, or it is no square table of counts.
    """
    from pandas import read_csv

    with parsing("confusion matrix", path):
        check_size(path, MAX_BYTES)
        table = read_csv(
            path,
            header=None,
            dtype=str,
            keep_default_na=False,
            skipinitialspace=True,
            encoding="utf-8-sig",
            compression=None,
        )
        cells = table.to_numpy()
        names = [*cells[0, 1:]]
        matrix = cells[1:, 1:].astype(np.int64)
    classes = len({*names})
    named = names == [*cells[1:, 0]] and not cells[0, 0].isdecimal()
    if not named or not 1 < classes == len(names):
        raise DataError(
            f"{path}: is no square table of at least 2 classes; rows of counts, with the class "
            "names before each row and in the first line"
        )
    if not matrix.any() or not 0 <= matrix.min() <= matrix.max() <= MAX_COUNT:
        raise DataError(f"{path}: every count is 0, or one is below 0 or over {MAX_COUNT:,}")
    if classes > 2 and _has_totals(matrix):
        raise DataError(f"{path}: the last row and column are totals; leave them out")
    return matrix, names


def _has_totals(matrix: Matrix) -> bool:
    """Whether the last class is none: its counts are sums, and more than may be so by chance."""
    inner = matrix[:-1, :-1]
    total = inner.sum()
    totals = np.append(inner.sum(axis=0), total), np.append(inner.sum(axis=1), total)
    return bool(total > BY_CHANCE) and np.array_equal((matrix[-1], matrix[:, -1]), totals)
