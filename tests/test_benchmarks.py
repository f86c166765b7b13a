"""The figures of docs/benchmarks.md are those that were measured."""

import io
import json
import tarfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from benchmarks import client, emoji, machine, step, trainings
from benchmarks.parts import page
from benchmarks.workspace import Training

ROOT = Path(__file__).parents[1]


def training(*val_accuracy, fit_s=10.0):
    return Training(20.0, fit_s, 1.0, list(val_accuracy))


def test_emoji_become_a_data_set(tmp_path):
    listed = [
        {"category": category, "image": f"{code}.png", "unified": code}
        for category, code in (("Food & Drink", "A"), ("Food & Drink", "B"), ("Component", "C"))
    ]
    for vendor in emoji.VENDORS:
        name = tmp_path / f"emoji-datasource-{vendor}-{emoji.VERSION}.tgz"
        with tarfile.open(name, "w:gz") as package:
            contents = {f"img/{vendor}/64/{code}.png": code.encode() for code in "ABC"}
            contents["emoji.json"] = json.dumps(listed).encode()
            for path, content in contents.items():
                member = tarfile.TarInfo(f"package/{path}")
                member.size = len(content)
                package.addfile(member, io.BytesIO(content))
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
    ("done", "expected"),
    [
        ([training(0.8, 0.9, 0.8, 0.9)], (1, 5.0)),
        ([training(0.8, 0.9), training(0.9, 0.9), training(0.95, 0.9)], (3, 5.0)),
        ([training(0.8, 0.9), training(0.8, 0.8)], (1, 10.0)),
        ([training()], (0, None)),
    ],
)
def test_time_to_a_goal_is_that_of_seeds_that_reach_it(done, expected):
    reached = trainings.seconds_to(0.9, done)
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
    export.write_keras(
        keras.Sequential([keras.Input((8, 8), dtype="uint8"), *layers]), tmp_path / "m.keras"
    )
    operations = machine.forward_operations(tmp_path / "m.keras")
    assert 2 * 64 * 10 <= operations < 3 * 64 * 10


@pytest.fixture
def server():
    """A port that answers with the status and class of the request's path, as `/200/1`."""

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            status, predicted = map(int, self.path.strip("/").split("/"))
            probabilities = [0.1, 0.1, 0.1]
            probabilities[predicted] = 0.8
            body = json.dumps({"predictions": [probabilities]}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("path", "errors"),
    [
        ("/200/1", {}),
        ("/200/2", {"wrong class": 20}),
        ("/503/1", {"HTTP/1.1 503 Service Unavailable": 20}),
    ],
)
@pytest.mark.parametrize("rate", [float("inf"), 1000.0])
def test_a_client_counts_each_answer_and_what_is_wrong_with_it(server, path, errors, rate):
    job = client.Job(server, path, ["{}"], [1], clients=4, requests=20, rate=rate)
    result = client.Load(job).run()
    assert len(result.latencies) == 20
    assert result.errors == errors
