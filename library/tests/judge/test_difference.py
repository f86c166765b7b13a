"""One model's results at two revisions, between which no test tells a difference."""

from dataclasses import replace

import numpy as np

from imageproof.base._dataset import Dataset
from imageproof.diff._difference import Recorded, compare_results
from imageproof.judge._timing import Training


def test_chance_and_rows_of_one_group_prove_nothing():
    truth = np.zeros(1000, np.int64)
    grouped = Dataset(np.zeros((1000, 1, 1), np.uint8), truth, groups=truth)
    results = {}
    for wrong in (29, 30, 60):
        predicted = (np.arange(1000) < wrong).astype(int)
        metrics = {"test.accuracy": 1 - wrong / 1000}
        probabilities = np.eye(2, dtype=np.float32)[predicted]
        results[wrong] = Recorded(metrics, {}, probabilities, Training(2, 0, ""))
    independent = replace(grouped, groups=None)
    for old, new, test, verdict in (
        (60, 30, grouped, "no verdict: accuracy 94.00 → 97.00 %, too few groups"),
        (30, 30, grouped, "same answers: accuracy 97.00 %"),
        (30, 29, independent, "no difference beyond noise: accuracy 97.00 → 97.10 %, p = 1"),
    ):
        times = {"old": 2.0, "new": 2.0}
        assert compare_results(results[old], results[new], times, test).verdict == verdict
