"""Statistics of the raw data: images per class, pixel-wise mean, median and deviation, samples."""

from math import ceil

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imageproof.base._dataset import Dataset, Images, Labels
from imageproof.base.errors import DataError

MOST = 10_000  # images of a class that are in memory at once

ClassImages = NDArray[np.float64]  # (classes, *shape of an image), 0…255; NaN: no image


def class_distribution(labels: Labels, *, names: list[str]) -> pd.DataFrame:
    """One row per class: label, name, count, percent of all images."""
    outside = labels[(labels < 0) | (labels >= len(names))]
    if outside.size:
        raise DataError(
            f"label {outside[0]} is outside 0…{len(names) - 1}; mend it, or set data.classes"
        )
    count = np.bincount(labels, minlength=len(names))
    table = pd.DataFrame({"label": range(len(names)), "name": names, "count": count})
    table["percent"] = 100 * count / len(labels)
    return table


def pixel_statistics(data: Dataset, *, classes: int) -> dict[str, ClassImages]:
    """The `mean`, `median` and `standard_deviation` of each pixel over the images of each class.

    The deviation divides by n, so that a single image gives 0. A class without images gives NaN.
    Of a class with over MOST images it takes every second, third, …: a median needs them at once.
    """
    shape = (3, classes, *data.images.shape[1:])
    mean, median, deviation = np.full(shape, np.nan)
    for label in np.unique(data.labels):
        rows = np.flatnonzero(data.labels == label)
        step = ceil(len(rows) / MOST)
        images = data.images[rows[::step]]
        mean[label] = images.mean(axis=0)
        median[label] = np.median(images, axis=0)
        deviation[label] = images.std(axis=0)
    return {"mean": mean, "median": median, "standard_deviation": deviation}


def samples(
    data: Dataset,
    *,
    classes: int,
    per_class: int,
    seed: int,
) -> list[Images]:
    """Draw up to `per_class` images of each class: for each class uint8 (k, height, width), or
    (k, height, width, 3) of colour.
    """
    generator = np.random.default_rng(seed)
    images = []
    for label in range(classes):
        rows = np.flatnonzero(data.labels == label)
        images.append(data.images[generator.permutation(rows)[:per_class]])
    return images
