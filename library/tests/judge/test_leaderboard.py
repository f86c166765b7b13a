"""The table that sets the models side by side, in numbers, in Markdown and on the terminal."""

from pathlib import Path

import pytest
from helpers import finding, run_record

from imageproof.artifacts import WORKSPACE
from imageproof.base.errors import DataError
from imageproof.base.files import write_json
from imageproof.cli import console as show
from imageproof.judge import figures
from imageproof.judge.leaderboard import Row, Scores, cells, uncomparable


def measured(model: str, elapsed_s: float, accuracy: float = 0.98) -> Row:
    values = {
        **{"model": model, "elapsed_s": elapsed_s, "test_accuracy": accuracy},
        **{"test_balanced_accuracy": 0.975, "test_macro_f1": 0.974, "test_loss": 0.07},
        **{"test_ece": 0.004, "weakest_class": "3", "weakest_sensitivity": 0.95},
        **{"holdout_accuracy": 0.97, "holdout_balanced_accuracy": 0.965},
        **{"holdout_macro_f1": 0.964, "holdout_loss": 0.08, "user_s": 3.5, "system_s": 0.25},
        **{"epoch_s": 0.123, "shared_cores": 0.0, "parameters": 550_346},
        **{"size_bytes": 2_210_000, "p50_ms": 1.25, "p95_ms": 3, "images_per_s": 12_345.6},
        "run_id": "0123456789abcdef",
    }
    return Row.model_validate(values)


MLP, CNN = measured("mlp", 12.5), measured("cnn", 100.0, 0.99)


def test_cells_have_units_in_their_headings_and_fit_their_precision() -> None:
    assert cells([MLP, CNN])[1] == {
        **{"model": "cnn", "test accuracy": "0.9900", "balanced accuracy": "0.9750"},
        "macro-F1": "0.9740",
        **{"weakest class": "3: 0.9500", "test loss": "0.0700"},
        **{"calibration error": "0.0040", "hold-out accuracy": "0.9700"},
        **{"hold-out balanced accuracy": "0.9650", "hold-out macro-F1": "0.9640"},
        "hold-out loss": "0.0800",
        **{"user s": "3.5", "system s": "0.2", "elapsed s": "100.0", "s/epoch": "0.12"},
        **{"shared cores": "0.0", "times": "8.0×", "parameters": "550,346", "size MB": "2.2"},
        **{"p50 ms": "1.25", "p95 ms": "3.00", "images/s": "12,346", "run": "01234567"},
    }


def test_score_of_a_new_line_is_in_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    line = dict.fromkeys(figures._FIGURES[0], "")
    line |= {"key": "test_f2", "table": "F2", "format": "{:.1%}", "dvc": "yes"}
    monkeypatch.setattr(figures, "_FIGURES", [*figures._FIGURES, line])
    row = Row.model_validate(CNN.model_dump() | {"test_f2": 0.5})
    assert cells([row])[0]["F2"] == "50.0%"
    assert "F2" not in cells([CNN])[0]


def test_baseline_is_in_the_table_without_costs() -> None:
    interval = {"test_accuracy_lower": 0.9629, "test_accuracy_upper": 0.97}
    baseline = Scores(model="baseline", test_accuracy=0.9666, **interval)
    model, beside = cells([CNN.model_copy(update=interval)], baseline)
    assert [*model] == [*beside]
    assert (beside["model"], beside["test accuracy"]) == ("baseline", "0.9666")
    assert model["95 % interval"] == beside["95 % interval"] == "0.9629 to 0.9700"
    assert {beside["elapsed s"], beside["run"], beside["macro-F1"]} == {"n/a"}


def test_top_5_accuracy_is_in_the_table_of_many_classes() -> None:
    many = [CNN.model_copy(update={"test_top5_accuracy": 0.5})]
    assert cells(many)[0]["top-5 accuracy"] == "0.5000"


def test_a_time_measured_on_shared_cores_is_called_not_comparable() -> None:
    [line] = uncomparable([MLP, CNN.model_copy(update={"shared_cores": 0.94})], {})
    assert "used 0.9 of its cores" in line
    assert uncomparable([CNN.model_copy(update={"shared_cores": 0.05})], {}) == []
    times = [row["times"] for row in cells([MLP.model_copy(update={"shared_cores": 0.94}), CNN])]
    assert times == ["n/a", "1.0×"]


def test_times_of_different_processors_are_called_not_comparable() -> None:
    [line] = uncomparable([], {"mlp": "Xeon, 2 cores", "cnn": "EPYC, 8 cores"})
    assert line.endswith("as processors differ: mlp on Xeon, 2 cores, cnn on EPYC, 8 cores")
    assert uncomparable([], {"mlp": "Xeon, 2 cores", "cnn": "Xeon, 2 cores"}) == []


@pytest.fixture
def compared(workspace: Path) -> None:
    found = {"models": [MLP.model_dump(), CNN.model_dump()], "pairs": []}
    write_json(WORKSPACE.comparison, found | {"verdicts": ["cnn is better than mlp [here], 3×."]})


@pytest.mark.usefixtures("compared")
def test_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    show.print_results()
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    for texts in cells([MLP, CNN]):
        assert all(f" {text} " in out for text in texts.values())
        assert all(heading in out for heading in texts if heading != "model")
    assert "\ntimes: elapsed s, as a multiple of the fastest model's\n" in out
    assert "top-5" not in out
    assert "trained again" not in out


@pytest.mark.usefixtures("compared")
def test_models_trained_since_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    for row, run_id in ((MLP, MLP.run_id), (CNN, "f" * 32)):
        record = run_record(row.model, run_id=run_id).model_dump()
        write_json(WORKSPACE.trained(row.model).run, record)
    show.print_results()
    again = [line for line in capsys.readouterr().out.splitlines() if "trained again" in line]
    assert again == ["cnn was trained again since: `imageproof run` compares it anew"]


def test_without_a_comparison_there_is_one_line(workspace: Path) -> None:
    assert finding(DataError, show.print_results) == (
        "artifacts/compare/comparison.json: not found; `dvc repro` makes it"
    )
