"""Occlusion: what a model looks at lights up, in images of any form."""

import numpy as np
import pytest

from imageproof.judge.explain import occlusion


def looking_at(*regions):
    """A model whose class 1 is the brighter the first region, class 2 the brighter the second."""

    def predict(images):
        logits = np.zeros((len(images), 3))
        for label, region in enumerate(regions, 1):
            pixels = images[:, *region].reshape(len(images), -1)
            logits[:, label] = pixels.mean(axis=1) / 25.5  # 10 at most: no certainty yet
        odds = np.exp(logits)
        return np.float32(odds / odds.sum(axis=1, keepdims=True))

    return predict


@pytest.mark.parametrize("shape", [(28, 28), (90, 60, 3)], ids=str)
def test_the_region_that_decides_lights_up(shape):
    height, width = shape[:2]
    margin = max(height, width) // 7 + 1
    regions = (
        np.s_[height // 2 : height // 2 + height // 4, 0 : width // 4],
        np.s_[0 : height // 4, width // 2 : width],
    )
    images = np.random.default_rng(0).integers(0, 60, (2, *shape), np.uint8)
    outside = np.ones((height, width), bool)
    for rows, columns in regions:
        images[:, rows, columns] = 250
        top = max(0, rows.start - margin)
        left = max(0, columns.start - margin)
        outside[top : rows.stop + margin, left : columns.stop + margin] = False
    predict = looking_at(*regions)
    heats = occlusion(predict, images, np.array([1, 2]), np.array([2, 1]))
    for heat, bright, dark in zip(heats, regions, regions[::-1], strict=True):
        assert heat.shape == (height, width)
        assert heat[bright].max() == heat.max()
        assert heat[bright].min() > 5 * abs(heat[outside]).max()
        assert heat[dark].max() < 0  # it speaks for the other class
    [alone] = occlusion(predict, images[:1], np.array([1]))
    assert alone[regions[0]].mean() > 5 * abs(alone[outside]).mean()


def test_one_pixel_no_image_and_certain_answers():
    def certain(images):
        return np.eye(3, dtype=np.float32)[np.zeros(len(images), int)]

    assert occlusion(certain, np.full((1, 1, 1), 9, np.uint8), np.array([1])).tolist() == [[[0]]]
    assert occlusion(certain, np.zeros((0, 5, 5), np.uint8), np.zeros(0, int)).shape == (0, 5, 5)
    heat = occlusion(certain, np.zeros((1, 9, 9), np.uint8), np.array([0]), np.array([2]))
    assert np.isfinite(heat).all()
