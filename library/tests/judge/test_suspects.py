"""Folds of labels that are perhaps wrong: copies stay together. See also `test_relabel`."""

import numpy as np

from imageproof.base._connected import divided
from imageproof.base._dataset import fingerprints


def test_folds_have_all_classes_alike_and_no_image_in_two(images_8x8):
    data = images_8x8.take(np.r_[0:1797, 0:100, 0:1797:7])
    hashes = fingerprints(data.images)
    copies = np.unique(hashes, return_inverse=True)[1]
    fold = divided(data.labels, copies, 5, seed=1)
    shares = [np.bincount(data.labels[fold == k], minlength=10) for k in range(5)]
    assert np.ptp(shares, axis=0).max() < 25  # copies of about 180 · 1.2 / 5 = 43 go together
    assert len({*zip(hashes, fold.tolist(), strict=True)}) == 1797
    assert (fold != divided(data.labels, copies, 5, seed=2)).mean() > 0.5
