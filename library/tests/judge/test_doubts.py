"""What is held against a model: never by chance, and where it is true, once for all models."""

import numpy as np
import pytest
from scipy.stats import norm

from imageproof.judge import _caret, _doubts
from imageproof.judge._confusion import confusion_matrix
from imageproof.judge._doubts import Doubt, beyond_chance, fragile
from imageproof.judge._groups import Intervals

ROWS = 76
CLASSES = 7
DRAWS = 100
DISTURBANCES = "shift_0.035", "shift_0.07", "rotate_5", "rotate_15", "blur_0.035", "noise_0.2"


def drawn(random, probabilities):
    """Classes drawn from the rows of probabilities."""
    ends = probabilities.cumsum(axis=1)[:, :-1]
    return (random.random((len(probabilities), 1)) > ends).sum(axis=1)


def statistics_of(predicted, labels, classes):
    matrix = confusion_matrix(predicted, labels, classes=classes)
    return _caret.statistics(matrix, classes=[*map(str, range(classes))])


def doubts_of(probabilities, labels):
    """What may be said of a model by its answers to the test rows."""
    classes = probabilities.shape[1]
    statistics = statistics_of(probabilities.argmax(axis=1), labels, classes)
    return [
        _doubts.weak_class(statistics.by_class, np.bincount(labels, minlength=classes)),
        _doubts.misleading(probabilities, labels, 1.0),
    ]


def is_accused(random, probabilities):
    """Whether anything is said against a model whose probabilities are true."""
    labels = drawn(random, probabilities)
    predicted = probabilities.argmax(axis=1)
    accuracies = {"effective_images": ROWS, "images": ROWS, "clean": np.mean(predicted == labels)}
    for name in DISTURBANCES:
        accuracies[name] = np.mean(predicted == drawn(random, probabilities))
    learnt, trained = random.binomial(304, 0.9, 2) / 304
    doubts_of_model = [
        _doubts.unlearnt(learnt, 304),
        _doubts.memorized(trained, 304, random.binomial(ROWS, 0.8) / ROWS, ROWS),
        *doubts_of(probabilities, labels),
        *fragile(accuracies),
    ]
    return bool(beyond_chance({"m": doubts_of_model}))


def test_true_probabilities_are_not_accused():
    random = np.random.default_rng(0)
    accused = 0
    for sureness in (0.05, 0.15) * DRAWS:
        probabilities = random.dirichlet([sureness] * CLASSES, ROWS).astype(np.float32)
        accused += is_accused(random, probabilities)
    assert accused <= 6


def test_sure_model_may_err_by_what_is_allowed():
    """Sure by 99.95 %, and right on 2 points less."""
    sure = np.full((1000, 2), 0.0005, np.float32)
    sure[:, 0] = 0.9995
    wrong = np.random.default_rng(0).random((300, 1000)) < 0.0205
    p_values = [_doubts.misleading(sure, row.astype(int), 1.0).p_value for row in wrong]
    assert np.mean(np.array(p_values) <= _doubts.LEVEL) <= 0.01


def test_rows_of_one_writer_accuse_in_no_class():
    labels = np.repeat([0, 1, 2], [200, 100, 0])
    answers = np.zeros(300, int)
    by_class = statistics_of(answers, labels, 3).by_class
    for writers, count in ((np.arange(300), 1), (np.minimum(np.arange(300) // 10, 20), 0)):
        rows = Intervals(answers == labels, writers).effective_by_class(labels, 3)
        assert len(beyond_chance({"m": [_doubts.weak_class(by_class, rows)]})) == count
    # the worst of two classes, as one has no rows
    assert _doubts.weak_class(by_class, [200, 7, 0]).p_value == pytest.approx(2 * 0.5**7)


def test_fragile_model_is_named_with_its_figures():
    accuracies = {"images": 2000, "effective_images": 2000, "clean": 0.98, "rotate_5": 0.99}
    accuracies |= {"shift_0.1": 0.89, "shift_0.2": 0.7, "invert": 0.1}
    assert beyond_chance({"mlp": fragile(accuracies)}) == [
        "fragile, as accuracy falls: mlp by 88 points on images with inverted contrast, "
        "by 28 points on images shifted by 20 % of their size"
    ]
    [doubt] = fragile({"effective_images": 8, "clean": 1.0, "invert": 0.5})
    assert doubt.p_value == pytest.approx(norm.sf((0.9 - 0.5 - 0.1) / np.sqrt(0.009 + 0.025)))


def test_ten_sentences_need_a_tenth_of_the_level_each():
    sentences = [Doubt(f"s{number}", "by 3", 0.0011) for number in range(10)]
    assert beyond_chance({"mlp": sentences[:5], "cnn": sentences[1:5]}) == [
        "s0: mlp by 3",
        *[f"s{number}: mlp by 3; cnn by 3" for number in range(1, 5)],
    ]
    assert beyond_chance({"mlp": sentences}) == []


def test_each_accusation_is_made_where_it_is_true():
    labels = np.random.default_rng(0).integers(0, 5, 1000)
    boastful = np.full((1000, 5), 0.02, np.float32)
    boastful[:, 0] = 0.92
    learning = [_doubts.unlearnt(0.52, 304), _doubts.memorized(1.0, 304, 0.62, 76)]
    lines = beyond_chance({"mlp": [*learning, *doubts_of(boastful, labels)]})
    assert [line.rpartition(": ")[2] for line in lines] == [
        "mlp on 52 %",
        "mlp on 100 % against 62 %",
        "mlp 0.0 % of the test images of class 4",
        "mlp by 72.5 points",
    ]
