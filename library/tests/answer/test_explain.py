"""Occlusion: what a model looks at lights up, in images of any form."""

import numpy as np
import onnx
import pytest
from helpers import linear_model

from imageproof.base import inference
from imageproof.judge.explain import occlusion


@pytest.fixture
def looks_at(tmp_path):
    """A model whose class 1 is the brighter a region, class 2 the brighter another."""

    def make(shape, region, other):
        kernel = np.zeros((*shape, 3), np.float32)
        for label, place in ((1, region), (2, other)):  # log odds of 10 are no certainty yet
            kernel[place][..., label] = 10 / 255 / max(1, kernel[place][..., label].size)
        path = tmp_path / "model.onnx"
        network = linear_model(kernel.reshape(-1, 3), np.zeros(3, np.float32), shape)
        onnx.save(network, path)
        return inference.load(path, threads=1).predict

    return make


@pytest.mark.parametrize("shape", [(28, 28), (30, 50), (28, 28, 3), (90, 60, 3)], ids=str)
def test_the_region_that_decides_lights_up(looks_at, shape):
    height, width = shape[:2]
    region = slice(height // 2, height // 2 + height // 4), slice(0, width // 4)
    other = slice(0, height // 4), slice(width // 2, width)
    predict = looks_at(shape, region, other)
    images = np.random.default_rng(0).integers(0, 60, (2, *shape), np.uint8)
    for place in (region, other):
        images[:, *place] = 250
    of_one, of_two = occlusion(predict, images, np.array([1, 2]), np.array([2, 1]))
    assert of_one.shape == (height, width)
    for heat, bright, dark in ((of_one, region, other), (of_two, other, region)):
        inside, outside = np.zeros(heat.shape, bool), np.ones(heat.shape, bool)
        inside[bright] = True
        margin = max(height, width) // 7 + 1
        for place in (bright, dark):
            rows, columns = (slice(max(0, s.start - margin), s.stop + margin) for s in place)
            outside[rows, columns] = False
        assert np.unravel_index(heat.argmax(), heat.shape) in set(
            zip(*inside.nonzero(), strict=True)
        )
        assert heat[inside].min() > 5 * abs(heat[outside]).max()
        assert heat[dark].max() < 0  # it speaks for the other class
    alone = occlusion(predict, images[:1], np.array([1]))
    assert alone[0][region].mean() > 5 * abs(alone[0][outside]).mean()


def test_an_image_of_one_pixel_and_a_certain_answer_have_finite_heat(looks_at):
    predict = looks_at((1, 1), (slice(0, 1), slice(0, 1)), (slice(0, 0), slice(0, 0)))
    assert occlusion(predict, np.full((1, 1, 1), 9, np.uint8), np.array([1])).tolist() == [[[0]]]
    certain = np.array([[1, 0, 0]], np.float32)
    heat = occlusion(lambda images: certain.repeat(len(images), 0), np.zeros((1, 9, 9), np.uint8),
                     np.array([0]), np.array([2]))  # fmt: skip
    assert np.isfinite(heat).all()
    assert occlusion(predict, np.zeros((0, 5, 5), np.uint8), np.zeros(0, int)).shape == (0, 5, 5)
