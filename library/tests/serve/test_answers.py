"""What a package's server answers to each form of a request, and what it says of itself."""

import json
from io import BytesIO
from typing import Any

import numpy as np
import requests
from packaged import THRESHOLD, Package, Running, running
from PIL import Image

from imageproof.base.dataset import Images


def predictions(
    server: Running, body: bytes, kind: str = "application/json"
) -> list[dict[str, Any]]:
    response = requests.post(
        f"{server.address}/predict", data=body, headers={"Content-Type": kind}, timeout=20
    )
    assert response.status_code == 200, response.text
    assert response.json()["model"] == "imageproof 7"
    answers: list[dict[str, Any]] = response.json()["predictions"]
    return answers


def picture(image: Images) -> bytes:
    file = BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_raw_bytes_and_pictures(server: Running, package: Package) -> None:
    image = package.images[3]
    [expected] = predictions(server, as_json({"inputs": [image.tolist()]}))
    assert predictions(server, image.tobytes(), "application/octet-stream") == [expected]
    as_is = {**expected, "picture": "as is"}
    assert predictions(server, picture(image), "image/png; charset=x") == [as_is]


def test_arrays_and_answer_sets(server: Running, package: Package) -> None:
    sizes = set()
    answers = predictions(server, as_json({"inputs": package.images.tolist()}))
    for answer, row in zip(answers, package.probabilities, strict=True):
        order = np.argsort(-row, kind="stable")  # as `imageproof predict` has them
        probable = [package.names[k] for k in order if row[k] >= np.float32(THRESHOLD)]
        assert answer["answers"] == probable
        assert np.abs(np.float32(answer["probabilities"]) - row).max() < 1e-6
        assert answer["predicted"] == package.names[row.argmax()]
        assert answer["unsure"] == (len(probable) not in (1, 2))
        sizes.add(len(probable))
    assert {1, 2} <= sizes


def test_home_page(server: Running) -> None:
    response = requests.get(server.address, timeout=20)
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    for said in ("<h1>imageproof 7</h1>", "null, eins, zwei, drei, 4,", "8×8 pixels"):
        assert said in response.text
    assert f"curl --json @example.json {server.address}/predict" in response.text


def test_model_and_health(server: Running, package: Package) -> None:
    said = requests.get(f"{server.address}/model", timeout=20).json()
    assert said == json.loads((package.folder / "model.json").read_text("utf-8"))
    assert said["class_names"] == package.names
    health = requests.get(f"{server.address}/health", timeout=20)
    assert (health.status_code, health.json()["status"]) == (200, "ok")
    ready = requests.get(f"{server.address}/ready", timeout=20)
    assert (ready.status_code, ready.json()) == (200, {"ready": True})


def test_metrics(package: Package) -> None:
    with running(package.folder) as server:
        predictions(server, as_json({"inputs": package.images[:5].tolist()}))
        requests.post(f"{server.address}/predict", data=b"no", timeout=20)
        lines = requests.get(f"{server.address}/metrics", timeout=20).text.splitlines()
    figures = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert figures['imageproof_requests_total{path="/predict",status="200"}'] == "1.0"
    assert figures['imageproof_requests_total{path="/predict",status="415"}'] == "1.0"
    assert figures['imageproof_batch_images_bucket{le="5.0"}'] == "1.0"
    assert figures["imageproof_predict_seconds_count"] == "1.0"
    assert figures["imageproof_waiting_images"] == "0.0"
    assert figures['imageproof_model_info{model="imageproof 7"}'] == "1.0"
    by_class = [
        float(v) for k, v in figures.items() if k.startswith("imageproof_predictions_total")
    ]
    assert sum(by_class) == 5
    assert float(figures["process_resident_memory_bytes"]) > 1e7
