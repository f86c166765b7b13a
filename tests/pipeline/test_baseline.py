"""The baseline: which description of the images it takes, and what is said of models beside it."""

import numpy as np
import pytest
from support import write_params

from digits.stages import baseline as stage
from imageproof.artifacts import WORKSPACE
from imageproof.base._dataset import Dataset, Split, save_split
from imageproof.features import _baseline
from imageproof.features._baseline import describe, fit_baseline
from imageproof.features._descriptors import DESCRIPTORS, hog
from imageproof.judge._comparison import compare_with_baseline
from imageproof.judge._verdicts import baseline_verdict

RANDOM = np.random.default_rng(0)
ROWS = np.arange(20_000)


@pytest.mark.parametrize("name", DESCRIPTORS)
@pytest.mark.parametrize("shape", [(2, 1, 1), (2, 64, 40, 3)], ids=str)
def test_description_has_a_row_of_finite_numbers_per_image(name, shape):
    images = RANDOM.integers(256, size=shape, dtype=np.uint8)
    features = describe(name, images)
    assert (features.dtype, len(features)) == (np.float32, 2)
    assert np.isfinite(features).all()
    np.testing.assert_array_equal(features[1:], describe(name, images[1:]))  # whatever the chunk


def test_hog_tells_directions_and_no_brightness():
    upright = np.tile(np.repeat(np.array([0, 90], np.uint8), 2), (1, 32, 8))
    for images, direction in ((upright, 0), (upright.swapaxes(1, 2), 4)):
        assert {*hog(images).reshape(64, 9).argmax(axis=1).tolist()} == {direction}
    np.testing.assert_allclose(hog(upright + np.uint8(100)), hog(upright))


def colours(count):
    """Images (n, 6, 6, 3) of noise whose three classes differ in colour alone."""
    labels = np.arange(count) % 3
    images = RANDOM.integers(100, size=(count, 6, 6, 3), dtype=np.uint8)
    images[np.arange(count), ..., labels] += 120
    return Dataset(images, labels)


def test_baseline_of_colours_is_the_histogram_and_repeatable(monkeypatch):
    monkeypatch.setattr(_baseline, "ROWS", 100)
    data = colours(120)
    fitted, again = (fit_baseline(data, classes=4, seed=1) for _ in range(2))
    assert (fitted.rows, again.accuracies) == (100, fitted.accuracies)
    assert fitted.name == max(fitted.accuracies, key=fitted.accuracies.get) == "colour histogram"
    data = colours(60)
    answers = fitted.predict(data.images)
    assert np.mean(answers.argmax(axis=1) == data.labels) > 0.95
    assert answers[:, 3].max() == 0  # a class without rows
    monkeypatch.setattr(_baseline, "CHUNK", 64)
    np.testing.assert_array_equal(again.predict(data.images), answers)


@pytest.mark.usefixtures("workspace")
def test_stage_writes_answers_and_scores_and_prints_a_line(capsys):
    write_params({"data.classes": 3})
    equal = np.full((20, 6, 6), 7, np.uint8)
    for images, line in (
        (
            colours(4).images,
            "baseline: colour histogram; accuracy in folds of 4 of 4 training rows:",
        ),
        (equal, "warning: baseline: 20 of 20 training rows have fewer than two"),
    ):
        rows = np.arange(len(images))
        labels = (rows + 1) // len(rows)  # the last is another one
        for name, groups in (("train", None), ("test", rows), ("holdout", 0 * rows)):
            save_split(WORKSPACE.split(name), Split(Dataset(images, labels, groups), rows))
        stage.main()
        [printed] = capsys.readouterr().out.splitlines()
        assert printed.startswith(line)
        answers = WORKSPACE.baseline.read_predictions()["test"]
        metrics = WORKSPACE.baseline.read_metrics()
        assert metrics["test"]["accuracy"] == np.mean(answers.argmax(axis=1) == labels)
        assert metrics["test"]["accuracy_lower"] > metrics["holdout"]["accuracy_lower"] == 0


def test_verdict_is_that_of_the_paired_test():
    unproven = "not shown to be better than the baseline (HOG)"
    for share, groups, line in (
        (0.38, None, "worse than the baseline (HOG): 38.00 % against 55.00 %"),
        (0.5499, None, f"{unproven}: 54.99 % against 55.00 %"),
        (0.80, None, "better than the baseline (HOG): 80.00 % against 55.00 %"),
        (0.80, ROWS % 4, f"{unproven}: 80.00 % against 55.00 %; too few groups differ"),
    ):
        hits, baseline_hits = (round(right * len(ROWS)) > ROWS for right in (share, 0.55))
        figures = compare_with_baseline(hits, baseline_hits, groups)
        assert baseline_verdict("compact", {"name": "HOG", "test": figures}) == f"compact is {line}"
