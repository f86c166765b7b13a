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

    def make(shape, *regions):
        kernel = np.zeros((*shape, 3), np.float32)
        for label, region in enumerate(regions, 1):
            kernel[region][..., label] = 1
        kernel *= 10 / 255 / kernel.sum(axis=(*range(len(shape)),)).clip(1)  # no certainty yet
        network = linear_model(kernel.reshape(-1, 3), np.zeros(3, np.float32), shape)
        path = tmp_path / "model.onnx"
        onnx.save(network, path)
        return inference.load(path, threads=1).predict

    return make


@pytest.mark.parametrize("shape", [(28, 28), (90, 60, 3)], ids=str)
def test_the_region_that_decides_lights_up(looks_at, shape):
    height, width = shape[:2]
    margin = max(height, width) // 7 + 1
    top, bottom = height // 4, height // 2
    first = slice(bottom, bottom + top), slice(0, width // 4)
    second = slice(0, top), slice(width // 2, width)
    predict = looks_at(shape, first, second)
    images = np.random.default_rng(0).integers(0, 60, (2, *shape), np.uint8)
    outside = np.ones((height, width), bool)
    for rows, columns in (first, second):
        images[:, rows, columns] = 250
        outside[
            max(0, rows.start - margin) : rows.stop + margin,
            max(0, columns.start - margin) : columns.stop + margin,
        ] = False
    heats = occlusion(predict, images, np.array([1, 2]), np.array([2, 1]))
    for heat, bright, dark in zip(heats, (first, second), (second, first), strict=True):
        assert heat.shape == (height, width)
        assert heat[bright].max() == heat.max()
        assert heat[bright].min() > 5 * abs(heat[outside]).max()
        assert heat[dark].max() < 0  # it speaks for the other class
    [alone] = occlusion(predict, images[:1], np.array([1]))
    assert alone[first].mean() > 5 * abs(alone[outside]).mean()


def test_one_pixel_no_image_and_certain_answers(looks_at):
    predict = looks_at((1, 1), (slice(1), slice(1)))
    assert occlusion(predict, np.full((1, 1, 1), 9, np.uint8), np.array([1])).tolist() == [[[0]]]
    assert occlusion(predict, np.zeros((0, 5, 5), np.uint8), np.zeros(0, int)).shape == (0, 5, 5)

    def certain(images):
        return np.eye(3, dtype=np.float32)[np.zeros(len(images), int)]

    heat = occlusion(certain, np.zeros((1, 9, 9), np.uint8), np.array([0]), np.array([2]))
    assert np.isfinite(heat).all()
