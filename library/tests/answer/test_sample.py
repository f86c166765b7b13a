"""What is kept of a stream of images: a sample."""

import numpy as np

from imageproof.answer import _drift
from imageproof.answer._drift import SAMPLE, Sample


def sample_of(images, batch):
    sample = Sample(images.shape[1:])
    for start in range(0, len(images), batch):
        sample.add(images[start : start + batch])
    return sample.images


def test_sample_of_many_images_is_random():
    numbers = np.arange(10 * SAMPLE, dtype=np.uint16)
    images = numbers.view(np.uint8).reshape(-1, 1, 2)
    assert sorted(sample_of(images[:70], 30).tolist()) == images[:70].tolist()
    sample = sample_of(images, 1000).view(np.uint16)
    assert len(np.unique(sample)) == len(sample) == SAMPLE
    # give or take 5 standard deviations
    assert abs(sample.mean() - numbers.mean()) < 5 * numbers.std() / SAMPLE**0.5


def test_sample_of_large_images_is_smaller(monkeypatch):
    monkeypatch.setattr(_drift, "SAMPLE_BYTES", 10 * 192)
    assert len(sample_of(np.zeros((27, 8, 8, 3), np.uint8), 9)) == 10
