"""What a package's server answers to each form of a request, and what it says of itself."""

import numpy as np
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
        "null, eins, zwei, drei, 4,",
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
