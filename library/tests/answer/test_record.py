"""What is kept of a stream of images: a sample. What is unusual: see tests/data."""

import numpy as np

from imageproof.answer.drift import SAMPLE, Sample

RNG = np.random.default_rng(0)


def sample_of(images, batch):
    sample = Sample(images.shape[1:])
    for start in range(0, len(images), batch):
        sample.add(images[start : start + batch])
    return sample.images


def test_sample_has_all_of_few_images():
    images = RNG.integers(0, 256, (70, 4, 5), dtype=np.uint8)
    found = np.sort(sample_of(images, 30).reshape(70, -1), axis=0)
    assert np.array_equal(found, np.sort(images.reshape(70, -1), axis=0))


def test_sample_of_many_images_is_random():
    numbers = np.arange(10 * SAMPLE, dtype=">u2")
    images = numbers.view(np.uint8).reshape(-1, 1, 2)
    kept = np.ascontiguousarray(sample_of(images, 1000)).reshape(-1, 2).view(">u2").ravel()
    assert len(np.unique(kept)) == len(kept) == SAMPLE
    # of each tenth of the stream, a tenth of the sample: 200, give or take 5 standard deviations
    tenths = np.bincount(kept // SAMPLE, minlength=10)
    assert abs(tenths - SAMPLE / 10).max() < 5 * np.sqrt(SAMPLE * 0.1 * 0.9)
