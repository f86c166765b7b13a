"""The figures of docs/benchmarks.md are those that were measured."""

import json
from pathlib import Path

import pytest
from helpers import served
from starlette.responses import JSONResponse

from benchmarks import client, machine, trainings
from benchmarks.parts import page
from benchmarks.workspace import Training

ROOT = Path(__file__).parents[1]


def test_the_page_shows_what_the_json_holds():
    result = json.loads((ROOT / "docs/benchmarks.json").read_text("utf-8"))
    assert page(result) == (ROOT / "docs/benchmarks.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("curves", "expected"),
    [
        ([[0.8, 0.9, 0.8, 0.9]], (1, 5.0)),
        ([[0.8, 0.9], [0.9, 0.9], [0.95, 0.9]], (3, 5.0)),
        ([[0.8, 0.9], [0.8, 0.8]], (1, 10.0)),
        ([[]], (0, None)),
    ],
)
def test_time_to_a_goal_is_that_of_seeds_that_reach_it(curves, expected):
    reached = trainings.seconds_to(0.9, [Training(20.0, 10.0, 1.0, curve) for curve in curves])
    assert (reached["reached"], reached["median_s"]) == expected


def test_the_operations_of_a_fit_are_counted(tmp_path, tensorflow):
    import keras

    from imageproof.keras import export

    layers = [keras.layers.Rescaling(1.0), keras.layers.Flatten(), keras.layers.Dense(10)]
    model = keras.Sequential([keras.Input((8, 8), dtype="uint8"), *layers])
    export.write_keras(model, tmp_path / "m.keras")
    operations = machine.forward_operations(tmp_path / "m.keras")
    assert 2 * 64 * 10 <= operations < 3 * 64 * 10


async def answer(scope, receive, send):
    """Answers with the status and class of the request's path, as `/200/1`."""
    _, status, predicted = scope["path"].split("/")
    probabilities = [0.8 if label == int(predicted) else 0.1 for label in range(3)]
    body = {"predictions": [probabilities]}
    await JSONResponse(body, status_code=int(status))(scope, receive, send)


@pytest.mark.parametrize(
    ("path", "errors"),
    [
        ("/200/1", {}),
        ("/200/2", {"wrong class": 20}),
        ("/503/1", {"HTTP/1.1 503 Service Unavailable": 20}),
    ],
)
@pytest.mark.parametrize("rate", [float("inf"), 1000.0])
def test_a_client_counts_each_answer_and_what_is_wrong_with_it(path, errors, rate):
    with served(answer) as port:
        job = client.Job(port, path, ["{}"], [1], clients=4, requests=20, rate=rate)
        result = client.Load(job).run()
    assert len(result.latencies) == 20
    assert result.errors == errors
