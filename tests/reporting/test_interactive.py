"""Interactive pictures of a confusion matrix; test_report has a browser draw them."""

import numpy as np
import pytest

from digits.reporting.plots import interactive as charts

MATRIX = np.array([[90, 1, 0], [10, 99, 0], [0, 0, 50]])
NAMES = ["shirt", "bag", "boot"]


def rows_and_weights(figure):
    """Reference, prediction, weight and whether it is red, per flow."""
    trace = figure.data[0]
    reference, prediction = (dimension.values for dimension in trace.dimensions)
    return list(zip(reference, prediction, trace.counts, trace.line.color, strict=True))


def test_each_cell_has_count_and_per_cent_of_the_reference_class():
    figure = charts.confusion_matrix(MATRIX, names=NAMES, title="model")
    assert figure.data[0].text[0] == ["90<br>90.0 %", "1<br>1.0 %", "0<br>0 %"]
    assert figure.layout.xaxis.title.text == "Reference"
    assert figure.layout.yaxis.title.text == "Prediction"


def test_hovering_says_what_share_of_the_true_and_of_the_predicted_class_it_is():
    hover = charts.confusion_matrix(MATRIX, names=NAMES, title="").data[0].hovertext[1][0]
    assert "reference <b>shirt</b>, predicted <b>bag</b>: 10" in hover
    assert "10.0 % of 100 that are shirt" in hover
    assert "9.2 % of 109 called bag" in hover


def test_the_first_prediction_is_on_top():
    figure = charts.confusion_matrix(MATRIX, names=NAMES, title="")
    assert figure.layout.yaxis.autorange == "reversed"
    assert figure.layout.yaxis.ticktext == tuple(NAMES)


def test_hits_and_errors_lie_on_opposite_sides_of_the_scale():
    strength = np.array(charts.confusion_matrix(MATRIX, names=NAMES, title="").data[0].z)
    assert (np.diag(strength) > 0).all()
    assert strength[1, 0] == strength.min() == -1
    assert -1 < strength[0, 1] < -0.3  # 1 % of its class, and yet seen
    assert strength[2, 0] == 0


def test_errors_are_red_and_hits_grey():
    flows = rows_and_weights(charts.alluvial(MATRIX, names=NAMES, title=""))
    assert [red for *_, red in flows] == [int(truth != said) for truth, said, *_ in flows]
    scale = charts.alluvial(MATRIX, names=NAMES, title="").data[0].line.colorscale
    assert scale == ((0.0, "#C4C4C4"), (1.0, "#C4122F"))


def test_errors_keep_their_count_and_hits_are_narrowed_by_a_named_factor():
    figure = charts.alluvial(MATRIX, names=NAMES, title="model")
    weights = {(truth, said): weight for truth, said, weight, _ in rows_and_weights(figure)}
    assert charts.narrowing(MATRIX) == 11
    assert weights[0, 1] == 10
    assert weights[1, 0] == 1
    assert weights[0, 0] == pytest.approx(90 / 11)
    assert "11 times narrower" in figure.layout.title.text


@pytest.mark.parametrize(
    ("right", "wrong", "factor"),
    [(980, 20, 24), (9_999, 1, 50), (10, 10, 1), (10, 0, 1), (0, 3, 1)],
)
def test_hits_are_narrowed_to_twice_the_errors_but_50_times_at_most(right, wrong, factor):
    assert charts.narrowing(np.array([[right, wrong], [0, 0]])) == factor


def test_nothing_is_said_of_narrowing_where_there_is_none():
    title = charts.alluvial(np.diag([3, 4]), names=["a", "b"], title="").layout.title.text
    assert "narrower" not in title


def test_labels_give_the_true_counts_on_both_sides():
    reference, prediction = charts.alluvial(MATRIX, names=NAMES, title="").data[0].dimensions
    assert reference.ticktext == (
        "shirt: 10 of 100 wrong",
        "bag: 1 of 100 wrong",
        "boot: 0 of 50 wrong",
    )
    assert prediction.ticktext[1] == "bag: 10 of 109 wrong"


def test_a_class_absent_or_never_predicted_has_no_place_on_that_side():
    matrix = np.array([[5, 0, 2], [0, 0, 1], [0, 0, 0]])
    reference, prediction = charts.alluvial(matrix, names=NAMES, title="").data[0].dimensions
    assert reference.categoryarray == (0, 2)
    assert prediction.categoryarray == (0, 1)


def test_a_class_name_is_text_and_no_markup():
    names = ["<b>bold</b>", "a&b"]
    matrix = np.array([[3, 1], [0, 2]])
    heat, flow = (
        draw(matrix, names=names, title="") for draw in (charts.confusion_matrix, charts.alluvial)
    )
    assert heat.layout.xaxis.ticktext == ("&lt;b&gt;bold&lt;/b&gt;", "a&amp;b")
    assert flow.data[0].dimensions[0].ticktext[0].startswith("&lt;b&gt;")
