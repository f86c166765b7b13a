"""What is read off a confusion matrix."""

import numpy as np
import pytest
from chances import labels
from sklearn.metrics import balanced_accuracy_score, f1_score

from imageproof.judge.confusion import balance, clustered, confusion_matrix, most_confused


def test_rows_are_predictions_and_columns_the_reference() -> None:
    matrix = confusion_matrix(predicted=labels(2, 2, 0), reference=labels(1, 1, 0), classes=3)
    assert matrix.tolist() == [[1, 0, 0], [0, 0, 0], [0, 2, 0]]
    assert matrix.dtype == np.int64


def test_balance_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    for rows in (12, 2000):  # few: classes without rows, or never predicted
        reference = rng.choice(7, size=rows, p=[0.5, 0.3, 0.1, 0.06, 0.02, 0.01, 0.01])
        predicted = np.where(rng.random(rows) < 0.7, reference, rng.choice(reference, size=rows))
        found = balance(confusion_matrix(predicted, reference, classes=7))
        f1 = f1_score(reference, predicted, average="macro", zero_division=0)
        assert found["balanced_accuracy"] == pytest.approx(
            balanced_accuracy_score(reference, predicted)
        )
        assert found["macro_f1"] == pytest.approx(f1)


def test_most_frequent_error_comes_first() -> None:
    matrix = np.array([[5, 0, 2], [3, 9, 2], [0, 0, 4]])
    found = most_confused(matrix, names=["bag", "boot", "NA"])
    assert found.to_dict("split")["data"] == [
        ["bag", "boot", 3, 3 / 8],
        ["NA", "bag", 2, 0.25],
        ["NA", "boot", 2, 0.25],
    ]
    assert most_confused(np.eye(2, dtype=int), names=["a", "b"]).empty


def test_classes_taken_for_each_other_stand_together() -> None:
    classes = 60
    group = np.random.default_rng(0).permutation(classes) % 12  # of five classes each
    matrix = np.where(group[:, None] == group, 10, 0) + np.eye(classes, dtype=int) * 50
    in_order = group[clustered(matrix)]
    assert sorted(clustered(matrix)) == [*range(classes)]
    assert np.count_nonzero(np.diff(in_order)) == 11


def test_few_classes_keep_their_order() -> None:
    assert clustered(np.ones((20, 20), dtype=int)) == [*range(20)]
