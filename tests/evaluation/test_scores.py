"""Scores of predicted probabilities, and the confusion matrix they are counted in."""

import math

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import log_loss

from digits.core.dataset import Dataset
from digits.core.errors import DigitsError
from digits.evaluation.scores import (
    confusion_matrix,
    calibration_error,
    most_confident_mistakes,
    reliability,
    score_probabilities,
)


def probabilities(*rows: list[float]) -> np.ndarray:
    return np.array(rows, dtype=np.float32)


def labels(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def test_rows_of_the_confusion_matrix_are_predictions_and_columns_the_reference():
    matrix = confusion_matrix(predicted=labels(2, 2, 0), reference=labels(1, 1, 0), classes=3)
    assert matrix.tolist() == [[1, 0, 0], [0, 0, 0], [0, 2, 0]]
    assert matrix.dtype == np.int64


def test_scores_of_three_images_worked_out_by_hand():
    scores = score_probabilities(
        probabilities([0.7, 0.2, 0.1], [0.3, 0.5, 0.2], [0.5, 0.1, 0.4]), labels(0, 0, 1)
    )
    assert scores == pytest.approx(
        {
            "accuracy": 1 / 3,
            "loss": -(math.log(0.7) + math.log(0.3) + math.log(0.1)) / 3,
            "brier": (0.14 + 0.78 + 1.22) / 3,
            "ece": (0.3 + 0.5 + 0.5) / 3,
            "top2_accuracy": 2 / 3,
        },
        abs=1e-6,
    )


def test_loss_is_clipped_where_keras_clips_it():
    surely_wrong = score_probabilities(np.eye(10, dtype=np.float32), (np.arange(10) + 1) % 10)
    # keras.losses.SparseCategoricalCrossentropy()(y_true, y_pred) of Keras 3.15.1
    assert surely_wrong["loss"] == pytest.approx(16.118095, abs=2e-6)


def test_ece_weighs_the_gap_of_each_bin_by_its_rows():
    chances = np.array([[0.95, 0.05]] * 3 + [[0.62, 0.38]])
    reference = labels(0, 0, 1, 0)
    # (0.9333, 1]: 3 rows, confidence 0.95, 2 right; (0.6, 0.6667]: 1 row, 0.62, right
    expected = 3 / 4 * (0.95 - 2 / 3) + 1 / 4 * (1 - 0.62)
    assert calibration_error(chances, reference) == pytest.approx(expected)


def test_ece_bins_are_closed_on_the_right():
    same_bin = np.array([[0.6, 0.4], [0.55, 0.45]])  # 0.6 = 9/15 belongs to (8/15, 9/15]
    expected = abs((0.6 + 0.55) / 2 - 1 / 2)
    assert calibration_error(same_bin, labels(0, 1)) == pytest.approx(expected)


def test_reliability_has_a_line_per_bin_with_rows_worked_out_by_hand():
    sure, less = [[0.95, 0.05]] * 9 + [[0.97, 0.03]], [[0.62, 0.38]]
    table = reliability(probabilities(*sure, *less), labels(*[0] * 9, 1, 0))
    assert table.to_numpy() == pytest.approx(
        np.array(
            [
                [9 / 15, 10 / 15, 1, 0.62, 1, 0.025, 1],
                [14 / 15, 1, 10, 0.952, 0.9, 0.5549839, 0.9974714],  # R's binom.test(9, 10)
            ]
        )
    )


def test_of_no_images_nothing_is_said():
    assert score_probabilities(np.empty((0, 10), dtype=np.float32), labels()) == {}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ([math.nan, 0.5, 0.5], "sums to nan"),
        ([2.0, 1.0, 0.5], "sums to 3.5"),
        ([-0.5, 1.0, 0.5], "has -0.5…1"),
    ],
    ids=["diverged", "logits", "negative"],
)
def test_rows_that_are_no_probabilities_are_refused_by_number(row, reason):
    with pytest.raises(DigitsError, match=r"1 of 2 answers .*row 1 ") as refused:
        score_probabilities(probabilities([1, 0, 0], row), labels(0, 0))
    assert reason in str(refused.value)


def test_a_model_of_real_digits_scores_as_scikit_learn_says():
    images, reference = load_digits(return_X_y=True)
    model = LinearDiscriminantAnalysis().fit(images[:900], reference[:900])
    chances = model.predict_proba(images[900:])
    scores = score_probabilities(chances.astype(np.float32), reference[900:].astype(np.int64))
    assert scores["accuracy"] == pytest.approx(model.score(images[900:], reference[900:]))
    clipped = np.clip(chances, 1e-7, 1)
    clipped /= clipped.sum(axis=1, keepdims=True)
    assert scores["loss"] == pytest.approx(log_loss(reference[900:], clipped), rel=1e-4)
    assert 0.85 < scores["accuracy"] < scores["top2_accuracy"]


class TestMostConfidentMistakes:
    TRUTH = labels(0, 0, 1, 1, 0)
    DATA = Dataset(np.arange(5 * 6, dtype=np.uint8).reshape(5, 2, 3), TRUTH)
    PREDICTED = probabilities([0.9, 0.1], [0.3, 0.7], [0.9, 0.1], [0.2, 0.8], [0.1, 0.9])

    def test_only_mistakes_are_found_and_the_most_confident_comes_first(self):
        found = most_confident_mistakes(self.DATA, self.PREDICTED, limit=10)
        assert found.rows.tolist() == [2, 4, 1]
        assert found.truth.tolist() == [1, 0, 0]
        assert found.prediction.tolist() == [0, 1, 1]
        assert found.probability.tolist() == pytest.approx([0.9, 0.9, 0.7])
        np.testing.assert_array_equal(found.images, self.DATA.images[[2, 4, 1]])

    def test_the_limit_keeps_the_most_confident(self):
        assert most_confident_mistakes(self.DATA, self.PREDICTED, limit=1).rows.tolist() == [2]

    def test_a_perfect_model_has_none(self):
        perfect = np.eye(2, dtype=np.float32)[self.TRUTH]
        found = most_confident_mistakes(self.DATA, perfect, limit=10)
        assert len(found.rows) == 0
        assert found.images.shape == (0, 2, 3)
