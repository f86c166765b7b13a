"""The mistakes a model was surest of."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from digits.core.dataset import Dataset, Images, Labels


class Mistakes(NamedTuple):
    """Wrongly predicted images, the surest first.

    Attributes:
        images: uint8 (n, height, width).
        truth: int64 (n,).
        prediction: int64 (n,).
        probability: float32 (n,), what the model gave its prediction.
        rows: int64 (n,), each image's place in the data that was predicted.
    """

    images: Images
    truth: Labels
    prediction: Labels
    probability: NDArray[np.float32]
    rows: NDArray[np.int64]


def most_confident(data: Dataset, probabilities: NDArray[np.float32], *, limit: int) -> Mistakes:
    """Up to `limit` mistakes with the highest probability; equally sure ones in row order.

    Args:
        data: what was predicted.
        probabilities: float32 (n, classes).
        limit: how many at most.
    """
    prediction = probabilities.argmax(axis=1)
    confidence = probabilities.max(axis=1)
    wrong = np.flatnonzero(prediction != data.labels)
    rows = wrong[np.argsort(-confidence[wrong], kind="stable")][:limit]
    return Mistakes(data.images[rows], data.labels[rows], prediction[rows], confidence[rows], rows)
