"""What a package's server answers, by its own protocol and by the Open Inference Protocol."""

import json

import numpy as np
import pytest
import requests
from packaged import CLASSES, JSON, THRESHOLD, within

from imageproof.serve._app import Service
from imageproof.serve._model import load


def test_bytes_and_arrays_get_one_answer(server, package):
    arrays = {"inputs": package.images.tolist()}
    answer = server.post("/predict", arrays, f"{JSON}; charset=utf-8").json()
    predictions = server.predict(package.images)
    assert answer == {"model": "imageproof 7", "predictions": predictions}
    for answer, row in zip(predictions, package.probabilities, strict=True):
        order = np.argsort(-row, kind="stable")
        names = [CLASSES[k] for k in order if row[k] >= np.float32(THRESHOLD)]
        assert (answer["answers"], answer["predicted"]) == (names, CLASSES[row.argmax()])
        assert answer["unsure"] == (len(names) not in (1, 2))


def test_home_page(server):
    response = server.get("/")
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    for text in (
        "<h1>imageproof 7</h1>",
        "\u2068null\u2069, \u2068eins\u2069,",
        "8×8 pixels, a pixel is a grey value",
        f"curl --json @example.json {server.address}/predict",
    ):
        assert text in response.text


def test_metrics(package):
    with within(Service(load(package.folder)).app()) as client:
        client.predict(package.images[:5])
        client.post("/predict", b"no", "")
        metrics = client.metrics()
    counts = {
        'imageproof_requests_total{path="/predict",status="200"}': 1,
        'imageproof_requests_total{path="/predict",status="415"}': 1,
        'imageproof_batch_images_bucket{le="5.0"}': 1,
        "imageproof_predict_seconds_count": 1,
        "imageproof_waiting_images": 0,
        'imageproof_model_info{model="imageproof 7"}': 1,
    }
    assert metrics | counts == metrics


HEADER = "Inference-Header-Content-Length"
ROW = np.zeros((1, 8, 8), np.uint8)


def body(images=ROW, **changes):
    tensor = {"name": "images", "shape": images.shape, "datatype": "UINT8"}
    return {"inputs": [tensor | {"data": images.ravel().tolist()} | changes]}


def infer(server, content, size=None):
    """The answer to a request; `size` are the bytes of its JSON if binary tensors follow."""
    return server.post(
        "/v2/models/imageproof/infer", content, headers={HEADER: size} if size else {}
    )


def binary(images=ROW):
    request = body(images, data=[], parameters={"binary_data_size": images.size})
    head = json.dumps(request).encode()
    return head + images.tobytes(), str(len(head))


def test_answers_are_those_of_predict(server, package):
    images = package.images[:20]
    expected = server.tensors(images)
    nested = body(images, data=images.tolist())
    for request in ((nested,), binary(images)):
        answer = infer(server, *request).json()
        assert {output["name"]: output["data"] for output in answer["outputs"]} == expected
        assert answer["outputs"][0]["shape"] == [20, 10]


BINARY, SIZE = binary()


@pytest.mark.parametrize(
    ("request_and_size", "text"),
    [
        ([b"[" * 100_000], "the body: too many lists and texts; "),
        ([body() | {"outputs": [{"name": "at"}]}], "outputs.0.name: at; there are probabilities, "),
        ([body(name="../x\n" * 99)], "inputs: 0: name: Input should be 'images'"),
        ([body(shape=[8, 8])], "inputs.0.shape: [8, 8]; [1…1,000, 8, 8] is allowed"),
        ([body(shape=[0, 8, 8])], "inputs.0.shape: [0, 8, 8]; "),
        ([body(shape=[10**15, 8, 8])], "inputs.0.data: "),
        ([BINARY, "²"], f"{HEADER}: ²"),
        ([BINARY + b"x", SIZE], "inputs.0.parameters.binary_data_size: 64; 64, so many bytes"),
        ([json.dumps(body()) + "x", str(len(json.dumps(body())))], "inputs.0.data: "),
    ],
)
def test_bad_request_is_told_and_the_next_answered(server, request_and_size, text):
    response = infer(server, *request_and_size)
    assert (response.status_code, response.headers["Content-Type"]) == (400, JSON)
    line = response.json()["error"]
    assert line.startswith(text)
    assert "\n" not in line
    assert infer(server, body()).status_code == 200


def test_described_paths_are_those_that_answer(server):
    described = {}
    for path, operations in server.get("/openapi.json").json()["paths"].items():
        name = path.replace("{model}", "imageproof").replace("{version}", "7")
        described[name] = {*operations} - {"parameters"}
    response = server.get("/v2/models/other/infer")
    assert response.status_code == 404
    _, _, paths = response.json()["error"].partition("there are ")
    assert sorted(paths.split(", ")) == sorted(described)
    for path, methods in described.items():
        for method in ("get", "post"):
            response = requests.request(method, f"{server.address}{path}", timeout=20)
            assert (response.status_code != 405) == (method in methods), path
