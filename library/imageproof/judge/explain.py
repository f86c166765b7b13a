"""Where in an image a model sees what it answers, from its answers alone."""

from itertools import product

import numpy as np
from numpy.typing import NDArray

from imageproof.base.dataset import Images, Labels, Predict, Probabilities

PATCHES = 7  # side by side; a patch of 4 pixels hides a stroke of a pen in an image of 28
EPSILON = 1e-7

Heat = NDArray[np.float32]  # (n, height, width)


def occlusion(
    predict: Predict, images: Images, chosen: Labels, other: Labels | None = None
) -> Heat:
    """How much each pixel speaks for the class `chosen` (n,), and against `other`, or all others.

    A patch of the image's mean colour moves over it by half its side. A pixel's value is how far
    the log odds fall, on the average of the patches that cover it: negative where it speaks
    against the class. Zeiler and Fergus 2014, «Visualizing and understanding convolutional
    networks», section 4.2. `images` are uint8 (n, height, width) or (n, height, width, 3); each
    is one batch of about 170.
    """
    heat = np.zeros(images.shape[:3], np.float32)
    places = _places(*images.shape[1:3])
    for number, image in enumerate(images):
        hidden = np.repeat(image[np.newaxis], len(places) + 1, axis=0)  # the last one stays whole
        mean = np.rint(image.mean(axis=(0, 1)))
        for copy, place in zip(hidden, places, strict=False):
            copy[place] = mean
        against = None if other is None else int(other[number])
        *odds, whole = _log_odds(predict(hidden), int(chosen[number]), against)
        covers = np.zeros(heat.shape[1:], np.float32)
        for place, left in zip(places, odds, strict=True):
            heat[number][place] += whole - left
            covers[place] += 1
        heat[number] /= covers
    return heat


def _places(height: int, width: int) -> list[tuple[slice, slice]]:
    """Rows and columns of each patch; together they cover every pixel."""
    down, across = (
        [slice(start, start + side) for start in (*range(0, last, max(1, side // 2)), last)]
        for side, last in ((_side(n), n - _side(n)) for n in (height, width))
    )
    return [*product(down, across)]


def _side(length: int) -> int:
    return max(1, round(length / PATCHES))


def _log_odds(probabilities: Probabilities, chosen: int, other: int | None) -> NDArray[np.float32]:
    rest = np.delete(probabilities, chosen, axis=1).sum(axis=1)
    against = rest if other is None else probabilities[:, other]
    odds = np.maximum(probabilities[:, chosen], EPSILON) / np.maximum(against, EPSILON)
    return np.log(odds, dtype=np.float32)
