"""The figures of docs/benchmarks.md are those that were measured."""

import json
import tarfile
from pathlib import Path

import pytest
from helpers import served
from starlette.responses import JSONResponse

from benchmarks import client, emoji, machine, step, trainings
from benchmarks.parts import page
from benchmarks.workspace import Training

ROOT = Path(__file__).parents[1]


def test_emoji_become_a_data_set(tmp_path):
    listed = [
        {"category": category, "image": f"{code}.png", "unified": code}
        for category, code in (("Food & Drink", "A"), ("Food & Drink", "B"), ("Component", "C"))
    ]
    for vendor in emoji.VENDORS:
        folder = tmp_path / vendor
        (folder / f"img/{vendor}/64").mkdir(parents=True)
        for code in "ABC":
            (folder / f"img/{vendor}/64/{code}.png").write_text(code)
        (folder / "emoji.json").write_text(json.dumps(listed))
        name = tmp_path / f"emoji-datasource-{vendor}-{emoji.VERSION}.tgz"
        with tarfile.open(name, "w:gz") as package:
            package.add(folder, "package")
    assert emoji.write_emoji(tmp_path / "data", packages=tmp_path) == 8
    lines = (tmp_path / "data/labels.csv").read_text().splitlines()
    assert lines[:2] == [
        "file,label,group,vendor",
        "food-drink/apple-A.png,Food & Drink,A,apple",
    ]
    assert (tmp_path / "data/food-drink/twitter-B.png").read_bytes() == b"B"
    assert emoji.write_emoji(tmp_path / "few", packages=tmp_path, per_class=3) == 3


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


def test_a_profile_is_counted_by_kind_of_operation():
    seconds = {
        "then/functional_1/conv2d_1/convolution:_MklNativeFusedConv2D": 1.0,
        "then/gradient_tape/functional_1/conv2d_1/filter:_MklNativeConv2DBackpropFilter": 2.0,
        "then/functional_1/dense_1/MatMul:_MklFusedMatMul": 4.0,
        "then/functional_1/fused_batch_normalization_1/FusedBatchNormV3:_FusedBatchNormEx": 8.0,
        "then/functional_1/re_lu_1/Relu:_MklNativeFusedConv2D": 16.0,  # both in one operation
        "then/rm_sprop_1/ResourceApplyRMSProp:ResourceApplyRMSProp": 32.0,
        "PrefetchProduce": 64.0,
        "Iterator::Root::Prefetch": 64.0,  # waits for it
        "ExecutorState::Process": 500.0,  # holds all others
    }
    assert step.by_kind(seconds) == {
        step.PRODUCTS: 23.0,
        "batch normalization": 8.0,
        "optimizer": 32.0,
        "reading, augmentation": 64.0,
    }


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
