"""What is kept of a stream of images."""

import numpy as np
from support import PARAMS

from digits.data.validation.validate import ValidateParams
from digits.evaluation.drift import count_values
from digits.scoring.drift import SAMPLE, Sample, Seen, image_stats

USUAL = ValidateParams(**PARAMS["validate"])
RNG = np.random.default_rng(0)


def seen_of(images, batch):
    seen, sample = Seen(USUAL), Sample()
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
        for found, expected in zip(seen.counted[name], count_values(values), strict=True):
            assert np.array_equal(found, expected)


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
    assert seen.counted["mean_ink"].counts.sum() == len(images)


def test_parts_add_up_to_exactly_the_whole_in_whatever_order_they_end():
    images = RNG.integers(0, 256, (5000, 4, 5), dtype=np.uint8)
    images[::900] = 0
    images[4000:4020] = 255
    whole, added = Seen(USUAL), Seen(USUAL)
    for start in range(0, len(images), 7):
        whole.add(images[start : start + 7])
    for number in (3, 0, 4, 1, 2):
        part, rows = Seen(USUAL, number), images[1000 * number : 1000 * (number + 1)]
        for start in range(0, len(rows), 300):
            batch = rows[start : start + 300]
            first = 1000 * number + start
            part.add_stats(image_stats(batch), range(first, first + len(batch)))
        added.add_part(part)
    assert added.rows == whole.rows == len(images)
    assert added.warnings == whole.warnings
    assert "26 rows: row 0 (0.0), row 900 (0.0), row 1800" in added.warnings[1]
    for name, counted in whole.counted.items():
        assert np.array_equal(added.counted[name].values, counted.values)
        assert np.array_equal(added.counted[name].counts, counted.counts)
