"""Label Studio itself, in an environment of its own: our tasks go in, its export comes back."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import foreign
import pandas as pd
import pytest
from exports import digest
from helpers import free_port, until
from test_taking import NEW, POOL, folders

from digits.project import load_project
from digits.stages import pack
from imageproof.artifacts import WORKSPACE
from imageproof.data import packed
from imageproof.labels.studio import Prediction, task, write_tasks
from imageproof.labels.taking import take_labels

pytestmark = pytest.mark.slow
VERSION = "1.23.2"
TOKEN = "0123456789abcdef0123456789abcdef01234567"
USER = ["--username", "someone@example.org", "--password", "of-this-test"]
QUIET = {
    "SENTRY_DSN": "",
    "FRONTEND_SENTRY_DSN": "",
    "COLLECT_ANALYTICS": "false",
    "LATEST_VERSION_CHECK": "false",
}
CLASSES = ["cat", "dög"]

Call = Callable[..., Any]

__all__ = ["folders"]


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Call]:
    """A function that asks the API of a server on loopback: method, path, body."""
    folder = tmp_path_factory.mktemp("label-studio")
    python = foreign.environment(folder / "environment", f"label-studio=={VERSION}")
    port = free_port()
    command = [python.with_name("label-studio"), "start", "--no-browser", "--data-dir", folder]
    command += ["--internal-host", "127.0.0.1", "--port", str(port), *USER]
    command += ["--user-token", TOKEN, "--enable-legacy-api-token"]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, env=os.environ | QUIET, stdout=log, stderr=log)

    def call(method: str, path: str, body: object = None) -> Any:
        headers = {"Authorization": f"Token {TOKEN}", "Content-Type": "application/json"}
        content = None if body is None else json.dumps(body).encode()
        address = f"http://127.0.0.1:{port}/api/{path}"
        with urlopen(Request(address, content, headers, method=method), timeout=60) as answer:
            return json.load(answer)

    def is_up() -> bool:
        assert server.poll() is None, (folder / "log").read_text()
        with suppress(URLError, ConnectionError):
            return bool(call("GET", "version"))
        return False

    try:
        assert until(is_up, seconds=1200), "it makes its tables for some minutes"
        yield call
    finally:
        server.terminate()
        server.wait(30)


def annotate(studio: Call, number: int, label: str, **more: Any) -> None:
    ends = {"from_name": "label", "to_name": "image", "type": "choices"}
    result = [ends | {"value": {"choices": [label]}}]
    studio("POST", f"tasks/{number}/annotations/", {"result": result, "lead_time": 1.5} | more)


@pytest.mark.usefixtures("folders")
def test_tasks_go_in_and_labels_come_back_and_nothing_is_lost(studio: Call) -> None:
    prediction = Prediction("models:/digits/3", "dög", 0.75)
    pictures = {file: {"only_train": "yes"} for file in NEW}
    tasks = [
        task(POOL / file, prediction, file=file, hash=digest(POOL / file), **data)
        for file, data in pictures.items()
    ]
    old = Path("data/cat/0.png")
    packed_as = {"file": "cat/0.png", "part": "train", "hash": digest(old)}
    tasks.append(task(old, prediction, **packed_as))
    write_tasks(Path("tasks.json"), tasks, CLASSES)
    tasks = json.loads(Path("tasks.json").read_text("utf-8"))
    config = Path("tasks.xml").read_text("utf-8")
    project = studio("POST", "projects/", {"title": "Bücher", "label_config": config})["id"]
    counts = studio(
        "POST", f"projects/{project}/import", json.loads(Path("tasks.json").read_text())
    )
    assert (counts["task_count"], counts["prediction_count"]) == (4, 4)
    imported = studio("GET", f"tasks/?project={project}&fields=all")["tasks"]
    assert [entry["data"] for entry in imported] == [entry["data"] for entry in tasks]
    assert [entry["predictions_model_versions"] for entry in imported] == [prediction.model] * 4

    numbers = [entry["id"] for entry in imported]
    annotate(studio, numbers[0], "dög")
    annotate(studio, numbers[1], "cat")
    annotate(studio, numbers[2], "cat", was_cancelled=True)
    annotate(studio, numbers[3], "dög")
    export = studio("GET", f"projects/{project}/export?exportType=JSON&download_all_tasks=true")
    Path("export.json").write_text(json.dumps(export), "utf-8")
    lines = take_labels(Path("export.json"), POOL, load_project())
    assert lines == [
        "2 pictures → data/labelled, 2 of them for training only",
        "1 labels corrected → data/corrections.csv",
        "0 labels are those of the data",
        "1 pictures have no label yet",
    ]
    pack.main()
    rows = packed.load(WORKSPACE.pack).rows
    hashes = packed.load_hashes(WORKSPACE.pack).tolist()
    labels = dict(zip(hashes, rows["label"].tolist(), strict=True))
    assert [
        labels[entry["data"]["hash"]] for entry in tasks if entry["data"]["hash"] in labels
    ] == [
        1,
        0,
        1,
    ]
    table = pd.read_csv("data/labels.csv", dtype=str, keep_default_na=False)
    made = {entry["id"]: entry["annotations"] for entry in export}
    times = [made[number][0]["updated_at"][:19] for number in numbers[:2]]
    assert [time[:19] for time in table["labelled_at"][-2:]] == times
    assert table["annotator"].tolist()[-2:] == [str(made[numbers[0]][0]["completed_by"])] * 2
    for file, name in zip(table["file"][-2:], NEW, strict=False):
        assert file.endswith(f"-{Path(name).name}")

    # and back: the pictures of the data, with the labels that they have now
    again = [task(Path("data", name), prediction, file=name, part="train") for name in rows["name"]]
    second = studio("POST", "projects/", {"title": "Again", "label_config": config})["id"]
    counts = studio("POST", f"projects/{second}/import", again)
    assert counts["task_count"] == len(rows) == 8


def test_interface_is_one_that_it_accepts_whatever_classes_are_called(
    studio: Call, tmp_path: Path
) -> None:
    names = ["<b> & \"c\" 'd'", "naïve café", "数字", "0"]
    write_tasks(tmp_path / "t.json", [], names)
    config = (tmp_path / "t.xml").read_text("utf-8")
    project = studio("POST", "projects/", {"title": "names", "label_config": config})
    assert project["parsed_label_config"]["label"]["labels"] == names
