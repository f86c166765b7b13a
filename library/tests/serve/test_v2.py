"""The Open Inference Protocol, version 2, beside `/predict`; the description of all paths."""

import json
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import foreign
import numpy as np
import pytest
import requests
from packaged import Package, Running, running

HEADER = "Inference-Header-Content-Length"
V2 = "v2/models/imageproof"
ROW = np.zeros((1, 8, 8), np.uint8)


def body(images: np.ndarray = ROW, **changes: Any) -> dict[str, Any]:
    tensor = {"name": "images", "shape": images.shape, "datatype": "UINT8", **changes}
    return {"inputs": [{"data": images.ravel().tolist(), **tensor}]}


def infer(server: Running, content: Any, header: str | None = None) -> requests.Response:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    headers = {HEADER: header} if header is not None else {}
    return requests.post(f"{server.address}/{V2}/infer", data=data, headers=headers, timeout=20)


def binary(images: np.ndarray, size: int | None = None, **more: Any) -> tuple[bytes, str]:
    request = body(images) | more
    del request["inputs"][0]["data"]
    request["inputs"][0]["parameters"] = {"binary_data_size": size or images.size}
    head = json.dumps(request).encode()
    return head + images.tobytes(), str(len(head))


def test_v2_answers_as_predict_does(server: Running, package: Package) -> None:
    images = package.images[:20]
    url = f"{server.address}/predict"
    rows = requests.post(url, json={"inputs": images.tolist()}, timeout=20).json()["predictions"]
    nested = body(images) | {"id": "ä"}
    nested["inputs"][0]["data"] = images.tolist()
    for content, header in ((body(images), None), (nested, None), binary(images)):
        response = infer(server, content, header)
        assert response.status_code == 200, response.text
        answer = response.json()
        columns = {output["name"]: output for output in answer["outputs"]}
        assert list(columns) == ["probabilities", "predicted", "answers", "unsure"]
        assert columns["probabilities"]["shape"] == [20, 10]
        expected = [value for row in rows for value in row["probabilities"]]
        assert columns["probabilities"]["data"] == expected
        assert columns["predicted"]["data"] == [row["predicted"] for row in rows]
        assert columns["unsure"]["data"] == [row["unsure"] for row in rows]
        members = [name in row["answers"] for row in rows for name in package.names]
        assert columns["answers"]["data"] == members
        assert answer["id"] == (content.get("id", "") if isinstance(content, dict) else "")


def test_binary_outputs_follow_the_json(server: Running, package: Package) -> None:
    images = package.images[:3]
    outputs = [{"name": "probabilities", "parameters": {"binary_data": True}}, {"name": "unsure"}]
    response = infer(server, *binary(images, outputs=outputs))
    size = int(response.headers[HEADER])
    first, second = json.loads(response.content[:size])["outputs"]
    assert first["parameters"] == {"binary_data_size": 120}
    assert "data" not in first
    assert len(second["data"]) == 3
    probabilities = np.frombuffer(response.content[size:], "<f4").reshape(3, 10)
    assert np.allclose(probabilities, package.probabilities[:3], atol=1e-6)


@pytest.mark.parametrize(
    ("content", "header", "status", "says"),
    [
        (b"{", None, 400, "not JSON: "),
        ([], None, 400, "the body: "),
        ({}, None, 400, "inputs: "),
        ({"inputs": [1, 2]}, None, 400, "inputs"),
        ({"inputs": [], "id": "\n"}, None, 400, "inputs: "),
        (b"[" * 100_000, None, 400, "the body: too many lists and texts; "),
        (body() | {"outputs": [{"name": "unsure"}] * 100}, None, 400, "the body: too many "),
        (body() | {"outputs": [{"name": "unsure"}] * 6}, None, 400, "outputs: "),
        (
            body() | {"outputs": [{"name": "at"}]},
            None,
            400,
            "outputs.0.name: at; there are probabilities, ",
        ),
        (
            body(name="../../etc/passwd"),
            None,
            400,
            "inputs.0.name: ../../etc/passwd; Input should be 'images'",
        ),
        (body(name="x\n" * 99), None, 400, "inputs.0.name: x x"),
        (body(datatype="FP32"), None, 400, "inputs.0.datatype: FP32; Input should be 'UINT8'"),
        (body(shape=[8, 8]), None, 400, "inputs.0.shape: [8, 8]; [1…1,000, 8, 8] is allowed"),
        (body(shape=[0, 8, 8]), None, 400, "inputs.0.shape: "),
        (body(shape=[-1, 8, 8]), None, 400, "inputs.0.shape: "),
        (body(shape=[True, 8, 8]), None, 400, "inputs.0.shape.0: "),
        (body(shape=[10**30, 8, 8]), None, 400, "inputs.0.shape.0: "),
        (body(shape=[1001, 8, 8]), None, 413, "1,001 images; at most 1,000 "),
        (body(shape=[10**15, 8, 8]), None, 413, "1,000,000,000,000,000 images; at most 1,000 "),
        (body(shape=[2, 8, 8]), None, 400, "inputs.0.data: "),
        (body(data=[256] * 64), None, 400, "inputs.0.data: "),
        (body(data=[-1] * 64), None, 400, "inputs.0.data: "),
        (body(data=[0.5] * 64), None, 400, "inputs.0.data: "),
        (body(data=["x"] * 64), None, 400, "inputs.0.data: "),
        (body(data=[[0] * 64]), None, 400, "inputs.0.data: "),
        (binary(ROW)[0], "x" * 99, 400, f"{HEADER}: xxx"),
        (binary(ROW)[0], "-1", 400, f"{HEADER}: -1; "),
        (binary(ROW)[0], "0", 400, f"{HEADER}: 0; "),
        (binary(ROW)[0], "99999999999", 400, f"{HEADER}: 99999999999; "),
        (binary(ROW)[0], "3", 400, "not JSON: "),
        (*binary(ROW, 63), 400, "inputs.0.parameters.binary_data_size: 63 and 64 bytes of it; 64 "),
        (binary(ROW)[0] + b"x", binary(ROW)[1], 400, "inputs.0.parameters.binary_data_size: 64 "),
        (json.dumps(body()).encode() + b"x", str(len(json.dumps(body()))), 400, "inputs.0.data: "),
        (b"x" * 50_000_000, None, 413, "over 5,000,000 bytes long"),
    ],
)
def test_bad_v2_body_is_told(
    server: Running, content: Any, header: str | None, status: int, says: str
) -> None:
    response = infer(server, content, header)
    assert response.status_code == status
    assert response.json().keys() == {"error"}
    assert response.json()["error"].startswith(says)
    assert "\n" not in response.json()["error"]
    assert infer(server, body()).status_code == 200


def test_other_models_are_not_found(server: Running) -> None:
    for name in (
        "other",
        "imageproof%2F..%2Fimageproof",
        "..%2Fimageproof",
        "imageproof/versions/8",
    ):
        for end in ("", "/ready", "/infer"):
            response = requests.get(f"{server.address}/v2/models/{name}{end}", timeout=20)
            assert response.status_code == 404
            assert "/v2/models/imageproof/infer" in response.json()["error"]


def test_log_gives_the_key_of_each_row(package: Package, tmp_path: Path) -> None:
    with running(package.folder, "--log", str(tmp_path / "log")) as server:
        metadata = requests.get(f"{server.address}/{V2}", timeout=20).json()
        assert [output["name"] for output in metadata["outputs"]][-1] == "at"
        columns = infer(server, body(package.images[:2])).json()["outputs"]
    first, second = columns[-1]["data"]
    assert first < second
    assert second.endswith("Z")


def test_described_paths_are_those_that_answer(server: Running, package: Package) -> None:
    document = requests.get(f"{server.address}/openapi.json", timeout=20).json()
    refusal = requests.get(f"{server.address}/none", timeout=20).json()["error"]
    description = package.description
    described = {}
    for path, operations in document["paths"].items():
        name = path.replace("{model}", description.name).replace("{version}", description.version)
        described[name] = {method for method in operations if method != "parameters"}
    assert sorted(refusal.partition("there are ")[2].split(", ")) == sorted(described)
    for path, methods in described.items():
        for method in ("get", "post"):
            response = requests.request(method, f"{server.address}{path}", timeout=20)
            assert (response.status_code != 405) == (method in methods), path


def test_readiness_ends_with_sigterm_and_liveness_stays(package: Package) -> None:
    with running(package.folder) as server:
        ready = f"{server.address}/v2/health/ready"
        assert requests.get(ready, timeout=20).status_code == 200
        server.process.send_signal(signal.SIGTERM)
        time.sleep(1)
        assert requests.get(ready, timeout=20).status_code == 503
        assert requests.get(f"{server.address}/ready", timeout=20).json() == {"ready": False}
        assert requests.get(f"{server.address}/{V2}/ready", timeout=20).status_code == 503
        assert requests.get(f"{server.address}/v2/health/live", timeout=20).status_code == 200
        assert requests.get(f"{server.address}/health", timeout=20).status_code == 200
        assert infer(server, body()).status_code == 200
        assert server.process.wait(timeout=30) == 0
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", server.port), timeout=20).close()


@pytest.mark.slow
def test_tritonclient_and_openapi_validator(package: Package, tmp_path: Path) -> None:
    packages = ("tritonclient[http]", "openapi-spec-validator")
    python = foreign.environment(tmp_path / "environment", *packages)
    images = package.images
    np.save(tmp_path / "images.npy", images)
    script = Path(__file__).with_name("triton.py")
    out = tmp_path / "result.json"
    with running(package.folder) as server:
        command = [python, script, str(server.port), tmp_path / "images.npy", out]
        subprocess.run(command, check=True, timeout=120)
        url = f"{server.address}/predict"
        body = {"inputs": images.tolist()}
        rows = requests.post(url, json=body, timeout=20).json()["predictions"]
        document = requests.get(f"{server.address}/openapi.json", timeout=20).content
    result = json.loads(out.read_text("utf-8"))
    assert [result[name] for name in ("live", "ready", "model_ready")] == [True] * 3
    assert not result["other_ready"]
    assert result["server"]["extensions"] == ["binary_tensor_data"]
    assert result["model"]["inputs"][0] == {
        "name": "images",
        "datatype": "UINT8",
        "shape": [-1, 8, 8],
    }
    probabilities = np.array([row["probabilities"] for row in rows], np.float32)
    expected = {
        "id": "a",
        "probabilities": probabilities.tobytes().hex(),
        "predicted": [row["predicted"] for row in rows],
        "answers": [[name in row["answers"] for name in package.names] for row in rows],
        "unsure": [row["unsure"] for row in rows],
    }
    assert result["binary"] == result["json"] == expected
    assert result["one"]["predicted"] == expected["predicted"][:1]
    assert result["thousand"]["predicted"] == expected["predicted"] * 5
    for name, status in (("shape", "400"), ("type", "400"), ("name", "400"), ("rows", "413")):
        assert result[name][0] == status, result[name]

    (tmp_path / "openapi.json").write_bytes(document)
    validator = [python, "-m", "openapi_spec_validator", tmp_path / "openapi.json"]
    subprocess.run(validator, check=True, timeout=120)
