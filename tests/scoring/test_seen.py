"""What is kept of a stream of images."""

import numpy as np

from digits.scoring.drift import SAMPLE, Sample, Seen, image_stats

RNG = np.random.default_rng(0)


def seen_of(images, batch):
    seen, sample = Seen(), Sample()
    for start in range(0, len(images), batch):
        for each in (seen, sample):
            each.add(images[start : start + batch])
    return seen, sample.images


def test_of_few_images_all_are_kept_in_their_order():
    images = RNG.integers(0, 256, (70, 4, 5), dtype=np.uint8)
    seen, sample = seen_of(images, 30)
    assert seen.rows == 70
    assert np.array_equal(sample, images)
    for name, values in image_stats(images).items():
        assert np.array_equal(seen.stats[name], values)


def test_of_many_images_a_random_sample_is_kept_whatever_the_batches():
    numbers = np.arange(10 * SAMPLE, dtype=">u2")
    images = numbers.view(np.uint8).reshape(-1, 1, 2)
    (seen, first), (_, again) = seen_of(images, 1000), seen_of(images, 1000)
    assert np.array_equal(first, again)
    kept = np.ascontiguousarray(first).reshape(-1, 2).view(">u2").ravel()
    assert len(np.unique(kept)) == len(kept) == SAMPLE
    # of each tenth of the stream, a tenth of the sample: 200, give or take 5 standard deviations
    tenths = np.bincount(kept // SAMPLE, minlength=10)
    assert abs(tenths - SAMPLE / 10).max() < 5 * np.sqrt(SAMPLE * 0.1 * 0.9)
    assert len(seen.stats["mean_ink"]) == len(images)
