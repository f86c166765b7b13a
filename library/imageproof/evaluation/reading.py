"""What is known of a model: the outputs of its training and evaluation, read once."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from imageproof.artifacts import WORKSPACE
from imageproof.base import _inference
from imageproof.base._dataset import Dataset, Metrics, Probabilities
from imageproof.judge import _caret, _leaderboard, _timing
from imageproof.outputs import by_split


class Result(NamedTuple):
    """A model's outputs; what is of a single split is of the test rows."""

    row: _leaderboard.Row
    figures: Mapping[str, float]  # the scores by key, such as `test_accuracy`; latencies
    probabilities: Probabilities
    statistics: _caret.Statistics
    behaviour: Mapping[str, float]
    baseline: Mapping[str, Any]  # see `EvaluateOutputs.read_baseline`
    history: list[Metrics]

    @property
    def model(self) -> str:
        return self.row.model


def read_result(model: str, test: Dataset, *, threads: int) -> Result:
    """Read the outputs of a model, and measure how fast it answers test images."""
    trained = WORKSPACE.trained(model)
    evaluated = WORKSPACE.evaluated(model)
    cost = trained.read_metrics()
    run = trained.read_run()
    statistics = evaluated.read_statistics()["test"]
    weakest_class, sensitivity = _caret.weakest(statistics.by_class)
    network = _inference.load(trained.model, threads=threads)
    facts = {
        "model": model,
        "test_accuracy_lower": statistics.overall["accuracy_lower"],
        "test_accuracy_upper": statistics.overall["accuracy_upper"],
        "weakest_class": weakest_class,
        "weakest_sensitivity": sensitivity,
        "parameters": int(cost["parameters"]),
        "size_bytes": trained.model.stat().st_size,
        "run_id": run.run_id,
        "cpu": run.tags.get("cpu", ""),
    }
    figures = by_split(evaluated.read_metrics())
    figures |= _timing.measure_latency(network.predict, test.images)
    return Result(
        figures=figures,
        row=_leaderboard.row({"shared_cores": 0.0} | figures | cost | facts),
        probabilities=evaluated.read_predictions()["test"],
        statistics=statistics,
        behaviour=evaluated.read_behaviour(),
        baseline=evaluated.read_baseline(),
        history=trained.read_history(),
    )
