"""Where in an image a model sees what it answers, from its answers alone."""

from itertools import product

import numpy as np
from numpy.typing import NDArray

from imageproof.base._dataset import Images, Labels, Predict, Probabilities

PATCHES = 7  # side by side; a patch of 4 pixels hides a stroke of a pen in an image of 28
EPSILON = 1e-7

Heat = NDArray[np.float32]  # (n, height, width)


def occlusion(
    predict: Predict,
    images: Images,
    chosen: Labels,
    against: Labels | None = None,
) -> Heat:
    """How much each pixel speaks for the class `chosen` (n,), and against the class `against`, or
    all others.

    A patch of the image's mean colour moves over it by half its side. A pixel's value is how far
    the log odds fall, on the average of the patches that cover it: negative where it speaks
    against the class. Zeiler and Fergus 2014, «Visualizing and understanding convolutional
    networks», section 4.2. `images` are uint8 (n, height, width) or (n, height, width, 3); each
    is one batch of about 170.
    """
    heat = np.zeros(images.shape[:3], np.float32)
    patches = [*product(*map(_slices, images.shape[1:3]))]  # together they cover every pixel
    covers = np.zeros(images.shape[1:3], np.float32)
    for patch in patches:
        covers[patch] += 1
    for number, image in enumerate(images):
        hidden = np.repeat(image[np.newaxis], len(patches) + 1, axis=0)  # the last one stays whole
        mean = np.rint(image.mean(axis=(0, 1)))
        for copy, patch in zip(hidden, patches, strict=False):
            copy[patch] = mean
        rival = None if against is None else against[number]
        odds = _log_odds(predict(hidden), chosen[number], rival)
        for patch, loss in zip(patches, odds[-1] - odds[:-1], strict=True):
            heat[number][patch] += loss
    return heat / covers


def _slices(length: int) -> list[slice]:
    """The places of a patch along one side of the image."""
    side = max(1, round(length / PATCHES))
    last = length - side
    return [slice(start, start + side) for start in (*range(0, last, max(1, side // 2)), last)]


def _log_odds(
    probabilities: Probabilities,
    chosen: int,
    rival: int | None,
) -> NDArray[np.float32]:
    chance = probabilities[:, chosen]
    if rival is None:
        alternative = np.delete(probabilities, chosen, axis=1).sum(axis=1)
    else:
        alternative = probabilities[:, rival]
    odds = np.maximum(chance, EPSILON) / np.maximum(alternative, EPSILON)
    return np.asarray(np.log(odds, dtype=np.float32))
