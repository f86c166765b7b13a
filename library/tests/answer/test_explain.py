"""Occlusion: what a model looks at lights up."""

import numpy as np

from imageproof.judge._explain import occlusion

FIRST = np.s_[45:67, 0:15]
SECOND = np.s_[0:22, 30:60]


def looking(images):
    """Class 1 is the brighter the first region, class 2 the brighter the second."""
    means = [images[:, *region].mean(axis=(1, 2, 3)) for region in (FIRST, SECOND)]
    odds = np.exp(np.stack([np.zeros(len(images)), *means], axis=1) / 25.5)  # never certain
    return np.float32(odds / odds.sum(axis=1, keepdims=True))


def test_the_region_that_decides_lights_up():
    images = np.random.default_rng(0).integers(0, 60, (2, 90, 60, 3), np.uint8)
    for rows, columns in (FIRST, SECOND):
        images[:, rows, columns] = 250
    first, second = occlusion(looking, images, np.array([1, 2]), np.array([2, 1]))
    for heat, bright, dark in ((first, FIRST, SECOND), (second, SECOND, FIRST)):
        assert heat.shape == (90, 60)
        assert heat[bright].max() == heat.max()
        assert heat[dark].max() < 0  # it speaks for the other class


def test_certain_answers_light_up_nothing():
    def certain(images):
        return np.eye(3, dtype=np.float32)[np.zeros(len(images), int)]

    heat = occlusion(certain, np.zeros((1, 1, 1), np.uint8), np.zeros(1, int))
    assert heat.tolist() == [[[0]]]
