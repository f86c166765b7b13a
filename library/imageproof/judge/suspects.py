"""Labels that are probably wrong, by what models say that were not trained on them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from cleanlab.count import num_label_issues  # type: ignore[import-untyped]
from cleanlab.filter import find_label_issues  # type: ignore[import-untyped]

from imageproof.base._dataset import (
    Dataset,
    Labels,
    Probabilities,
    Rows,
    Split,
    load_split,
    save_split,
)


class Ask(Protocol):
    """Trains a model on `data`, and asks it for `images`: float32 (n, classes).

    What the training chooses beside its weights, it chooses by `validation`, or else by `images`.
    """

    def __call__(
        self,
        data: Dataset,
        images: Dataset,
        validation: Dataset | None = None,
    ) -> Probabilities: ...


def out_of_fold(
    data: Dataset,
    fold: Rows,
    ask: Ask,
    *,
    folder: Path,
) -> Iterator[tuple[Rows, Probabilities]]:
    """For each fold its rows, and what a model says of them that was trained on the others.

    Both are given to `ask` as files in `folder`, so that no fold need fit into memory.
    """
    for number in range(fold.max() + 1):
        parts: list[Dataset] = []
        for inside in (fold != number, fold == number):
            rows = np.flatnonzero(inside)
            path = folder / f"{len(parts)}.npz"
            save_split(path, Split(data, rows), picks=rows)
            parts.append(load_split(path).data)
        yield rows, ask(*parts)


def suspects(labels: Labels, probabilities: Probabilities) -> tuple[pd.DataFrame, int]:
    """The rows whose label models contradict, the most suspicious first; how many are wrong, about.

    Columns: row, suggested (the most probable class), and quality: the probability of the label.
    `probabilities` float32 (n, classes) are out of fold. The number is that of the labels that are
    contradicted with confidence: Northcutt, Jiang and Chuang 2021, «Confident learning»,
    doi:10.1613/jair.1.12125. Rows beyond it are listed too: rare errors are among them.
    """
    rows = find_label_issues(
        labels,
        probabilities,
        filter_by="predicted_neq_given",
        return_indices_ranked_by="self_confidence",
    )
    table = {
        "row": rows,
        "suggested": probabilities[rows].argmax(axis=1),
        "quality": probabilities[rows, labels[rows]],
    }
    return pd.DataFrame(table), int(num_label_issues(labels, probabilities))
