"""The baseline: which description of the images it takes, and what is said of models beside it."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from support import write_params

from digits.stages import baseline as stage
from imageproof.artifacts import WORKSPACE
from imageproof.base.dataset import Dataset, Split, save_split
from imageproof.base.files import read_json
from imageproof.features import baseline
from imageproof.features.baseline import describe, fit_baseline
from imageproof.features.descriptors import DESCRIPTORS, coarse_pixels, histogram, hog
from imageproof.judge.baseline import compare, verdict

RANDOM = np.random.default_rng(0)
SHAPES = [(2, 1, 1), (2, 5, 9), (2, 64, 40, 3)]


@pytest.mark.parametrize("name", DESCRIPTORS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_description_has_a_row_of_finite_numbers_per_image(name, shape):
    images = RANDOM.integers(256, size=shape, dtype=np.uint8)
    features = describe(name, images)
    assert features.dtype == np.float32
    assert len(features) == 2
    assert np.isfinite(features).all()
    np.testing.assert_array_equal(features[1:], describe(name, images[1:]))  # whatever the chunk


def test_histogram_counts_colours():
    image = np.zeros((1, 2, 2, 3), np.uint8)
    image[0, 0] = 255  # two pixels white, two black
    assert np.flatnonzero(histogram(image)[0]).tolist() == [0, 63]
    np.testing.assert_allclose(histogram(image)[0, [0, 63]] ** 2, 0.5)


def test_coarse_pixels_are_means_of_cells():
    image = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    np.testing.assert_allclose(coarse_pixels(image)[0, :2], [8.5, 10.5])


def test_hog_tells_directions_and_no_brightness():
    stripes = np.tile(np.repeat([0, 90], 2), 8).astype(np.uint8)
    upright = np.tile(stripes, (32, 1))[None]
    cells = hog(upright).reshape(64, 9)
    assert {*cells.argmax(axis=1).tolist()} == {0}
    assert {*hog(upright.swapaxes(1, 2)).reshape(64, 9).argmax(axis=1).tolist()} == {4}
    np.testing.assert_allclose(hog(upright + np.uint8(100)), hog(upright))


def colours(count, *, classes=3):
    """Images (n, 6, 6, 3) of noise whose classes differ in colour alone."""
    labels = np.arange(count) % classes
    images = RANDOM.integers(100, size=(count, 6, 6, 3), dtype=np.uint8)
    images[np.arange(count), ..., labels] += 120
    return Dataset(images, labels)


def test_baseline_of_colours_is_the_histogram():
    data = colours(120)
    fitted = fit_baseline(data, classes=4, seed=1)
    assert fitted.name == max(fitted.accuracies, key=fitted.accuracies.get)
    assert fitted.accuracies["colour histogram"] > 0.95
    answers = fitted.predict(colours(60).images)
    assert answers.shape == (60, 4)
    assert np.mean(answers.argmax(axis=1) == np.arange(60) % 3) > 0.95
    assert answers[:, 3].max() == 0  # a class without rows


def test_baseline_of_handwriting_is_hog_and_repeatable(monkeypatch):
    images, labels = load_digits(return_X_y=True)
    data = Dataset((images.reshape(-1, 8, 8) * 15).astype(np.uint8), labels.astype(np.int64))
    monkeypatch.setattr(baseline, "ROWS", 600)
    first, second = (fit_baseline(data, classes=10, seed=3) for _ in range(2))
    assert (first.rows, first.accuracies) == (600, second.accuracies)
    assert first.accuracies["colour histogram"] < 0.5 < first.accuracies[first.name]
    np.testing.assert_array_equal(first.predict(data.images), second.predict(data.images))
    monkeypatch.setattr(baseline, "CHUNK", 64)
    np.testing.assert_array_equal(first.predict(data.images[:9]), second.predict(data.images)[:9])


def test_rows_of_a_group_stay_in_one_fold():
    groups = np.arange(200) // 5  # five pictures of each of 40 persons, whose class is by chance
    labels = RANDOM.integers(2, size=40)[groups]
    faces = RANDOM.integers(256, size=(40, 6, 6), dtype=np.uint8)[groups]
    images = (faces // 2 + RANDOM.integers(9, size=faces.shape)).astype(np.uint8)
    accuracies = fit_baseline(Dataset(images, labels, groups), classes=2, seed=0).accuracies
    assert max(accuracies.values()) < 0.8  # who knows the persons is right on all


def use(labels, images=None):
    """Splits in the current folder, all of the same rows."""
    labels = np.array(labels)
    if images is None:
        images = RANDOM.integers(256, size=(len(labels), 6, 6), dtype=np.uint8)
    write_params({"data.classes": 3})
    for name in ("train", "test", "holdout"):
        save_split(WORKSPACE.split(name), Split(Dataset(images, labels), np.arange(len(labels))))


@pytest.mark.parametrize(
    ("labels", "line"),
    [
        ([0, 1, 2], "warning: baseline: 3 of 3 training rows have fewer than two"),
        ([0, 0, 0, 1], "baseline: colour histogram; in folds of 4 of 4 training rows are right: "),
        ([1, 1, 1, 1], "baseline: colour histogram; in folds of 4 of 4 training rows are right: "),
    ],
)
def test_few_images_are_one_line(workspace, capsys, labels, line):
    use(labels)
    stage.main()
    [printed] = capsys.readouterr().out.splitlines()
    assert printed.startswith(line)
    assert WORKSPACE.baseline.read_predictions()["test"].shape == (len(labels), 3)


def test_equal_images_are_one_line(workspace, capsys):
    use([0, 1, 1, 1] * 5, np.full((20, 6, 6), 7, np.uint8))
    stage.main()
    [printed] = capsys.readouterr().out.splitlines()
    assert printed.startswith("warning: baseline: 20 of 20 training rows have fewer than two")
    assert WORKSPACE.baseline.read_metrics()["test"]["accuracy"] == 0.75


def test_stage_writes_answers_scores_and_the_winner(workspace):
    data = colours(90)
    use(data.labels, data.images)
    stage.main()
    record = read_json(WORKSPACE.baseline.record, dict)
    assert {*record["accuracies"]} == {*DESCRIPTORS}
    metrics = WORKSPACE.baseline.read_metrics()["holdout"]
    assert metrics["accuracy_lower"] < metrics["accuracy"] <= metrics["accuracy_upper"]
    assert {"macro_f1", "loss", "ece"} <= {*metrics}


def hits(share, rows=400):
    return np.arange(rows) < round(share * rows)


@pytest.mark.parametrize(
    ("model", "line"),
    [
        (0.38, "worse than the baseline (HOG): 38.0 % against 55.0 %"),
        (0.56, "not shown to be better than the baseline (HOG): 56.0 % against 55.0 %"),
        (0.54, "not shown to be better than the baseline (HOG): 54.0 % against 55.0 %"),
        (0.80, "better than the baseline (HOG): 80.0 % against 55.0 %"),
    ],
)
def test_verdict_is_that_of_the_paired_test(model, line):
    figures = compare(hits(model), hits(0.55), None)
    assert figures["gain_lower"] <= figures["gain"] <= figures["gain_upper"]
    assert verdict("compact", "HOG", figures) == f"compact is {line}"


def test_verdict_counts_groups():
    groups = np.arange(400) // 100
    line = verdict("compact", "HOG", compare(hits(0.8), hits(0.55), groups))
    assert line.startswith("compact is not shown to be better than the baseline (HOG): 80.0 % ag")
    assert line.endswith("; too few groups differ")
