"""The statistics of a confusion matrix equal what R's caret prints."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chi2

from imageproof.judge._caret import as_tables, label_of, statistics, weakest

# numbers stay text, so that a printed 0.9830 keeps its last digit
SEED = json.loads((Path(__file__).with_name("seed_mlp_matrix.json")).read_text(), parse_float=str)


def of_counts(text, **names):
    """The statistics of a matrix such as `8 0; 2 0`."""
    matrix = np.array([row.split() for row in text.split(";")], int)
    return statistics(matrix, **{"classes": [*map(str, range(len(matrix)))]} | names)


def test_figures_equal_carets_to_the_last_digit():
    result = statistics(np.array(SEED["matrix"], int), classes="0123456789")
    overall, by_class, _ = as_tables(result)
    for row in by_class.index:
        assert by_class.loc[row].tolist() == SEED[row.lower().replace(" ", "_")]
    printed = overall["value"]
    for figure in ("accuracy", "no_information_rate", "kappa"):
        assert printed[label_of(figure)] == SEED[figure]
    assert [printed["95% CI lower"], printed["95% CI upper"]] == SEED["accuracy_ci95"]
    assert printed["P-Value [Acc > NIR]"] == f"<{SEED['p_value_below']}"
    assert printed["McNemar's Test P-Value"] == "n/a"


def test_two_class_example_of_carets_help_page():
    result = of_counts("231 32; 27 54", classes=["abnormal", "normal"])
    printed = as_tables(result)
    assert printed.overall["value"].tolist() == [
        *("0.8285", "0.7844", "0.8668", "0.7500", "0.0003097", "0.5336", "0.6025")
    ]
    # caret prints its «positive» class, the first, only
    assert printed.by_class["Class: abnormal"].tolist() == [
        *("0.8953", "0.6279", "0.8783", "0.6667", "0.7500", "0.6715", "0.7645", "0.7616")
    ]
    assert result.by_class["normal"]["sensitivity"] == result.by_class["abnormal"]["specificity"]


def test_weakest_class_has_rows():
    assert weakest(of_counts("90 9 0; 0 0 0; 0 0 1").by_class) == ("1", 0)


def test_mcnemar_of_more_classes_is_bowkers():
    assert of_counts("5 2; 2 7").overall["mcnemar_p_value"] == 1  # equal errors: no correction
    result = of_counts("10 4 2; 1 12 6; 3 2 9")
    statistic = (4 - 1) ** 2 / 5 + (2 - 3) ** 2 / 5 + (6 - 2) ** 2 / 8
    assert result.overall["mcnemar_p_value"] == pytest.approx(chi2.sf(statistic, df=3))


@pytest.mark.parametrize(
    ("matrix", "figure", "label", "reason"),
    [
        ("4 1 1; 1 5 2; 0 0 0", "pos_pred_value", "2", "class 2 never predicted"),
        ("4 1 0; 1 5 0; 1 1 0", "sensitivity", "2", "class 2 absent"),
        ("5 5; 0 0", "neg_pred_value", "0", "no class but 0 predicted"),
        ("5 0; 1 0", "specificity", "0", "no class but 0 present"),
        ("5 0; 0 5", "mcnemar_p_value", None, "class 0 and class 1 never confused"),
        ("5 0; 0 0", "kappa", None, "a single class, in prediction and reference alike"),
    ],
)
def test_undefined_figure_is_none_with_its_reason(matrix, figure, label, reason):
    result = of_counts(matrix)
    assert {"figure": figure, "class": label, "reason": reason} in result.undefined
    assert (result.overall if label is None else result.by_class[label])[figure] is None
    tables = as_tables(result)
    printed = [*tables.overall.to_numpy().flat, *tables.by_class.to_numpy().flat]
    assert len(result.undefined) == printed.count("n/a")
    assert any(note.startswith(f"n/a: {reason} (") for note in tables.notes)
