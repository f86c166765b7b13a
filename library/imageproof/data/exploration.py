"""Statistics of the raw data: images per class, pixel-wise mean, median and deviation, samples."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imageproof.base.dataset import Dataset, Images, Labels
from imageproof.base.errors import DataError

MOST = 10_000

ClassImages = NDArray[np.float64]  # (classes, *shape of an image), 0…255; NaN: no image


def class_distribution(labels: Labels, *, names: list[str]) -> pd.DataFrame:
    """One row per class: label, name, count, percent of all images (0 if there are none)."""
    outside = labels[(labels < 0) | (labels >= len(names))]
    if outside.size:
        found = f"{outside.size} are outside 0…{len(names) - 1}, the first is {outside[0]}"
        raise DataError(f"labels: {found}; mend them, or set data.classes")
    count = np.bincount(labels, minlength=len(names))
    columns = {"label": np.arange(len(names)), "name": names, "count": count}
    return pd.DataFrame(columns | {"percent": 100 * count / max(len(labels), 1)})


def pixel_statistics(data: Dataset, *, classes: int) -> dict[str, ClassImages]:
    """The `mean`, `median` and `standard_deviation` of each pixel over the images of each class.

    The deviation divides by n, so that a single image gives 0. A class without images gives NaN.
    Of a class with over MOST images it takes every second, third, …: a median needs them at once.
    """
    names = ("mean", "median", "standard_deviation")
    statistics = np.full((len(names), classes, *data.images.shape[1:]), np.nan)
    for label in np.unique(data.labels):
        rows = np.flatnonzero(data.labels == label)
        images = data.images[rows[:: -(-len(rows) // MOST)]]
        statistics[:, label] = images.mean(axis=0), np.median(images, axis=0), images.std(axis=0)
    return dict(zip(names, statistics, strict=True))


def samples(data: Dataset, *, classes: int, per_class: int, seed: int) -> list[Images]:
    """Draw up to `per_class` images of each class: for each, uint8 (k, height, width)."""
    generator = np.random.default_rng(seed)
    of_class = [np.flatnonzero(data.labels == label) for label in range(classes)]
    return [data.images[generator.permutation(rows)[:per_class]] for rows in of_class]
