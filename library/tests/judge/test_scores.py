"""Scores of predicted probabilities."""

import math

import numpy as np
import pytest
from chances import labels
from chances import rows as probabilities

from imageproof.base._dataset import Dataset
from imageproof.base.errors import ImageproofError
from imageproof.judge.scores import (
    calibration_error,
    errors_by_chance,
    most_confident_mistakes,
    reliability,
    score_probabilities,
)


def test_scores_of_three_images_worked_out_by_hand():
    scores = score_probabilities(
        probabilities([0.7, 0.2, 0.1], [0.3, 0.5, 0.2], [0.5, 0.1, 0.4]), labels(0, 0, 1)
    )
    expected = {
        "accuracy": 1 / 3,
        "balanced_accuracy": 1 / 4,  # of class 0 half, of class 1 none, of class 2 no row
        "macro_f1": 1 / 4,
        "loss": -(math.log(0.7) + math.log(0.3) + math.log(0.1)) / 3,
        "brier": (0.14 + 0.78 + 1.22) / 3,
        "ece": (0.3 + 0.5 + 0.5) / 3,
        "top2_accuracy": 2 / 3,
    }
    assert scores == pytest.approx(expected, abs=1e-6)


def test_more_than_20_classes_have_a_top_5_accuracy():
    scores = score_probabilities(np.full((42, 21), 1 / 21, np.float32), np.arange(42) % 21)
    assert scores["top5_accuracy"] == pytest.approx(5 / 21)


def test_loss_is_clipped_where_keras_clips_it():
    surely_wrong = score_probabilities(np.eye(10, dtype=np.float32), (np.arange(10) + 1) % 10)
    # keras.losses.SparseCategoricalCrossentropy()(y_true, y_pred) of Keras 3.15.1
    assert surely_wrong["loss"] == pytest.approx(16.118095, abs=2e-6)


def test_ece_bins_are_closed_on_the_right():
    same_bin = probabilities([0.6, 0.4], [0.55, 0.45])  # 0.6 = 9/15 belongs to (8/15, 9/15]
    expected = abs((0.6 + 0.55) / 2 - 1 / 2)
    assert calibration_error(same_bin, labels(0, 1)) == pytest.approx(expected)


def test_honest_model_exceeds_chance_once_in_20_times():
    random = np.random.default_rng(0)
    honest = random.dirichlet(np.full(4, 0.6), 2000)
    drawn = (honest.cumsum(axis=1) < random.random((500, 2000, 1))).sum(axis=2)
    errors = np.array([calibration_error(honest, truth) for truth in drawn])
    exceeded = np.mean(errors > errors_by_chance(honest, 1.0).ppf(0.95))
    assert exceeded == pytest.approx(0.05, abs=0.02)


def test_reliability_worked_out_by_hand():
    sure = probabilities(*[[0.95, 0.05]] * 9, [1.00001, 0], [0.62, 0.38])  # float32 may exceed 1
    truth = labels(*[0] * 9, 1, 0)
    table = reliability(sure, truth).to_numpy()
    assert len(table) == 2  # bins with rows
    gaps = table[:, 2] @ abs(table[:, 3] - table[:, 4])
    assert gaps / 11 == pytest.approx(calibration_error(sure, truth))
    assert table[0] == pytest.approx([9 / 15, 10 / 15, 1, 0.62, 1, 0.025, 1])
    by_r = 0.5549839, 0.9974714  # binom.test(9, 10)
    assert table[1] == pytest.approx([14 / 15, 1, 10, 0.955, 0.9, *by_r])


def test_row_of_no_probabilities_is_refused_by_number():
    with pytest.raises(ImageproofError, match=r"1 of 2 answers .*row 1 has -0.5…1 and sums to 1"):
        score_probabilities(probabilities([1, 0, 0], [-0.5, 1, 0.5]), labels(0, 0))


def test_mistakes_begin_with_the_most_confident():
    data = Dataset(np.arange(24, dtype=np.uint8).reshape(4, 2, 3), labels(0, 0, 1, 1))
    predicted = probabilities([0.9, 0.1], [0.3, 0.7], [0.9, 0.1], [0.2, 0.8])
    images, *columns = most_confident_mistakes(data, predicted, limit=2)
    np.testing.assert_array_equal(images, data.images[[2, 1]])
    assert np.column_stack(columns) == pytest.approx(np.array([[1, 0, 0.9, 2], [0, 1, 0.7, 1]]))
