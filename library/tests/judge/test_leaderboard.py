"""The table that sets the models side by side, in numbers, in Markdown and on the terminal."""

import numpy as np
from helpers import finding, run_record

from imageproof.artifacts import WORKSPACE
from imageproof.base.errors import DataError
from imageproof.base.files import write_json
from imageproof.cli._console import result_lines
from imageproof.judge._leaderboard import Row, Scores, cells, training_times, with_own
from imageproof.system._console import show

FIGURES = {
    "test_macro_f1": 0.975,
    "weakest_class": "3",
    "weakest_sensitivity": 0.95,
    "epoch_s": 0.123,
    "shared_cores": 0.0,
    "parameters": 550_346,
    "size_bytes": 2_210_000,
    "p50_ms": 1.25,
    "p95_ms": 3,
    "images_per_s": 12_345.6,
    "run_id": "0123456789abcdef",
}
MLP = Row(model="mlp", elapsed_s=12.5, test_accuracy=0.98, **FIGURES)
CNN = Row(model="cnn", elapsed_s=100.0, test_accuracy=0.99, **FIGURES)
SHARED = MLP.model_copy(update={"shared_cores": 0.94})


def test_cells_have_the_formats_of_their_figures():
    texts = {
        "model": "cnn",
        "test accuracy": "0.9900",
        "weakest class": "3: 0.9500",
        "elapsed s": "100.0",
        "s/epoch": "0.12",
        "times": "8.0×",
        "parameters": "550,346",
        "size MB": "2.2",
        "images/s": "12,346",
        "run": "01234567",
    }
    row = cells([MLP, CNN])[1]
    assert row | texts == row
    assert len(row) == 14


def test_figures_that_only_some_rows_have_are_in_the_table():
    interval = {"test_accuracy_lower": 0.9629, "test_accuracy_upper": 0.97}
    baseline = Scores(model="baseline", test_accuracy=0.9666, **interval)
    row, last = cells([CNN.model_copy(update=interval | {"train_accuracy": 0.99})], baseline)
    assert [*row] == [*last]
    assert row["95 % interval"] == last["95 % interval"] == "0.9629 to 0.9700"
    assert row["train accuracy"] == "0.9900"
    assert {last["elapsed s"], last["macro-F1"], last["train accuracy"]} == {"n/a"}
    assert "top-5 accuracy" not in row  # it is for many classes


def test_own_figure_is_a_number_with_a_heading_of_its_own():
    pairs = [("mlp", "cpu"), ("mlp", "test accuracy"), ("mlp", "bright"), ("mpl", "bright")]
    lines = [
        finding(DataError, with_own, [MLP], {model: {heading: np.float32("nan")}})
        for model, heading in pairs
    ]
    assert lines == [
        "cpu: is a figure of the library; choose another heading",
        "test accuracy: is a figure of the library; choose another heading",
        "bright: is nan; leave out a figure that does not exist",
        "mpl: has own figures, and is none of the models mlp",
    ]


def test_times_that_cannot_be_compared():
    _, [line] = training_times([SHARED, CNN])
    assert line.startswith("mlp's training time cannot be compared")
    assert "used 0.9 of its cores" in line
    assert [row["times"] for row in cells([SHARED, CNN])] == ["n/a", "1.0×"]
    xeon = MLP.model_copy(update={"cpu": "Xeon, 2 cores"})
    _, [line] = training_times([xeon, CNN])
    assert line.endswith("as processors differ: mlp on Xeon, 2 cores, cnn on an unknown one")
    assert [row["times"] for row in cells([xeon, CNN])] == ["n/a", "n/a"]


def test_comparison_is_printed_in_80_columns(workspace, capsys, monkeypatch):
    rows = [MLP.model_dump(), CNN.model_dump()]
    write_json(WORKSPACE.comparison, {"models": rows, "pairs": [], "verdicts": ["mlp [best], 3×."]})
    write_json(WORKSPACE.trained("cnn").run, run_record("cnn").model_dump())
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ann:pw12@host:5000")
    show(result_lines())
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    for texts in cells([MLP, CNN]):
        assert all(f" {text} " in out for text in texts.values())
    assert "\ntimes: elapsed s, as a multiple of the fastest model's\n" in out
    assert "\nmlp [best], 3×.\n" in out
    assert " page, http://host:5000 the runs" in out  # not `make ui`, which has no run of a server
    assert "\ncnn was trained again since: `imageproof run` compares it anew\n" in out
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    show(result_lines())
    assert " page, make ui the runs" in capsys.readouterr().out
