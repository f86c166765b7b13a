"""The package's own tests: its server, started as in production, answers as the model did."""

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

FOLDER = Path(__file__).parent


def read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((FOLDER / name).read_text("utf-8"))
    return content


def start(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "digits.serving", "--port", "0"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = start(FOLDER)
    assert server.stdout
    found = re.search(r"http://\S+", server.stdout.readline())
    assert found
    yield found[0]
    server.send_signal(signal.SIGTERM)
    assert server.communicate(timeout=60) == ("", "")
    assert server.returncode == 0


def ask(address: str, body: bytes) -> list[dict[str, Any]]:
    headers = {"Content-Type": "application/json"}
    with urlopen(Request(f"{address}/predict", body, headers), timeout=60) as response:
        predictions: list[dict[str, Any]] = json.load(response)["predictions"]
    return predictions


def test_it_answers_as_the_model_did(address: str) -> None:
    expected, names = read("expected.json"), read("model.json")["class_names"]
    answers = ask(address, json.dumps({"inputs": expected["images"]}).encode())
    for answer, probabilities in zip(answers, expected["probabilities"], strict=True):
        assert answer["probabilities"] == pytest.approx(probabilities, abs=1e-5)
        assert answer["predicted"] == names[probabilities.index(max(probabilities))]


def test_answer_sets_hold_the_classes_above_the_threshold(address: str) -> None:
    description, images = read("model.json"), read("expected.json")["images"]
    confidence, names = description["confidence"], description["class_names"]
    for answer in ask(address, json.dumps({"inputs": images}).encode()):
        if confidence is None:
            assert "answers" not in answer
        else:
            probable = [p >= confidence["threshold"] for p in answer["probabilities"]]
            assert answer["answers"] == [n for n, held in zip(names, probable, strict=True) if held]
            fewest_unsure = min(3, len(names))
            assert answer["unsure"] == (len(answer["answers"]) not in range(1, fewest_unsure))


@pytest.mark.parametrize("path", ["health", "model", "metrics"])
def test_it_says_how_it_is(address: str, path: str) -> None:
    with urlopen(f"{address}/{path}", timeout=60) as response:
        assert read("model.json")["version"] in response.read().decode()


def test_what_is_no_request_gets_a_sentence_and_the_next_is_answered(address: str) -> None:
    with pytest.raises(HTTPError) as refused:
        ask(address, b"no")
    assert refused.value.code == 400
    assert json.load(refused.value)["error"].startswith("not JSON")
    assert ask(address, (FOLDER / "example.json").read_bytes())


def test_it_does_not_start_with_another_file(tmp_path: Path) -> None:
    copy = tmp_path / "package"
    shutil.copytree(
        FOLDER, copy, ignore=shutil.ignore_patterns(".venv", ".pytest_cache", "__pycache__")
    )
    with (copy / "model.json").open("a") as file:
        file.write(" ")
    server = start(copy)
    _, said = server.communicate(timeout=60)
    assert server.returncode == 7
    assert (
        said == f"error: {copy}/model.json: is not the file that was packaged (by SHA256SUMS);"
        " make the package again\n"
    )
