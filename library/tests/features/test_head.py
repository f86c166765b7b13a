"""The linear classifier of features, and the choice of its strength."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from imageproof.features.head import (
    Rowset,
    Settings,
    choose_c,
    fit_head,
    predict,
)

random = np.random.default_rng(5)


def rows(classes, *, count=240, noise=2.0, width=12):
    labels = np.arange(count) % classes
    centres = np.random.default_rng(classes).normal(size=(classes, width))
    features = 3 + 5 * (centres[labels] + noise * random.normal(size=(count, width)))
    return Rowset(features[np.newaxis].astype(np.float32), labels, np.arange(count))


@pytest.mark.parametrize(("classes", "weights"), [(2, {1: 3.0}), (5, "balanced"), (5, None)])
def test_head_is_scikit_learns_classifier(classes, weights):
    data = rows(classes)
    head = fit_head(data, 0.1, Settings(classes, weights, 0))  # type: ignore[arg-type]
    model = LogisticRegression(C=0.1, max_iter=1000, class_weight=weights)
    expected = make_pipeline(StandardScaler(), model).fit(data.views[0], data.labels)
    probabilities = expected.predict_proba(data.views[0])
    assert np.allclose(predict(head, data.views[0]), probabilities, atol=2e-3)


def test_class_without_rows_gets_no_chance():
    data = rows(2)
    head = fit_head(data._replace(labels=2 * data.labels), 1.0, Settings(4, None, 0))
    probabilities = predict(head, data.views[0])
    assert not probabilities[:, [1, 3]].any()
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-6)


def test_mirrored_rows_stay_with_their_original():
    """Folds that parted them would hold out what they were fitted to."""
    data = rows(4, noise=30.0, count=80, width=200)
    twice = data._replace(views=np.concatenate([data.views, data.views]))
    for rowset in (data, twice):
        losses = choose_c(rowset, [0.01, 1.0], Settings(4, None, 0), folds=4).losses
        assert losses[1.0] > 1.2  # of four classes that cannot be told apart, ln 4 is 1.39


def test_too_few_rows_for_folds_take_the_smallest_c():
    one_group = rows(3)._replace(groups=np.zeros(240, np.int64))
    three = Settings(3, None, 0)
    for data in (rows(3, count=3), one_group):
        assert choose_c(data, [1.0, 0.1], three, folds=5) == (0.1, {})
    three_of_each_class = rows(3, count=9)
    assert [*choose_c(three_of_each_class, [1.0, 0.1], three, folds=5).losses] == [0.1, 1.0]
