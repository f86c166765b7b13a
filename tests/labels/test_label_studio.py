"""Label Studio itself, in an environment of its own: our tasks go in, its export comes back."""

import json
import os
import subprocess
from contextlib import suppress
from pathlib import Path

import foreign
import pandas as pd
import pytest
import requests
from exports import digest
from helpers import free_port, until
from test_taking import NEW, POOL, folders, table

from digits.project import load_project
from digits.stages import pack
from imageproof.artifacts import WORKSPACE
from imageproof.data import packed
from imageproof.labels._studio import task, write_tasks
from imageproof.labels._taking import take_labels

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
# Its tables as its models say them: the 200 migrations to them take minutes.
START = """
from label_studio import server

server._setup_env()

from django.apps import apps
from django.conf import settings
from django.core.management import call_command

settings.MIGRATION_MODULES = {app.label: None for app in apps.get_app_configs()}
call_command("check")  # imports all that has tables
call_command("migrate", run_syncdb=True, verbosity=0)
server.main()
"""
PREDICTION = "models:/digits/3", "dög", 0.75

__all__ = ["folders"]


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    """A function that asks the API of a server on loopback: method, path, body."""
    folder = tmp_path_factory.mktemp("label-studio")
    python = foreign.environment(folder / "environment", f"label-studio=={VERSION}")
    port = free_port()
    command = [python, "-c", START, "start", "--no-browser"]
    command += ["--internal-host", "127.0.0.1", "--port", str(port), *USER]
    command += ["--user-token", TOKEN, "--enable-legacy-api-token"]
    env = os.environ | QUIET | {"LABEL_STUDIO_BASE_DATA_DIR": str(folder)}
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, env=env, stdout=log, stderr=log)

    def call(method, path, body=None):
        address = f"http://127.0.0.1:{port}/api/{path}"
        headers = {"Authorization": f"Token {TOKEN}"}
        answer = requests.request(method, address, json=body, headers=headers, timeout=60)
        answer.raise_for_status()
        return answer.json()

    def is_up():
        assert server.poll() is None, (folder / "log").read_text()
        with suppress(requests.RequestException):
            return call("GET", "version")

    try:
        assert until(is_up, seconds=600), (folder / "log").read_text()
        yield call
    finally:
        server.terminate()
        server.wait(30)


def create(studio, title, names, tasks):
    """A project with the interface that `write_tasks` writes, and what it imported of tasks."""
    write_tasks(Path("tasks.json"), tasks, names)
    config = Path("tasks.xml").read_text("utf-8")
    project = studio("POST", "projects/", {"title": title, "label_config": config})
    number = project["id"]
    studio("POST", f"projects/{number}/import", json.loads(Path("tasks.json").read_bytes()))
    imported = studio("GET", f"tasks/?project={number}&fields=all")["tasks"]
    assert [entry["data"] for entry in imported] == [entry["data"] for entry in tasks]
    return project, imported


def test_tasks_go_in_and_labels_come_back_and_nothing_is_lost(studio):
    tasks = [
        task(POOL / file, *PREDICTION, file=file, hash=digest(POOL / file), only_train="yes")
        for file in NEW
    ]
    old = Path("data/cat/0.png")
    tasks.append(task(old, *PREDICTION, file="cat/0.png", part="train", hash=digest(old)))
    project, imported = create(studio, "Bücher", ["cat", "dög"], tasks)
    assert [entry["predictions_model_versions"] for entry in imported] == [PREDICTION[0]] * 4

    numbers = [entry["id"] for entry in imported]
    for number, label in zip(numbers, ("dög", "cat", "cat", "dög"), strict=True):
        ends = {"from_name": "label", "to_name": "image", "type": "choices"}
        result = [ends | {"value": {"choices": [label]}}]
        vote = {"result": result, "lead_time": 1.5, "was_cancelled": number == numbers[2]}
        studio("POST", f"tasks/{number}/annotations/", vote)
    path = f"projects/{project['id']}/export?exportType=JSON&download_all_tasks=true"
    export = studio("GET", path)
    Path("export.json").write_text(json.dumps(export))
    take_labels(Path("export.json"), POOL, load_project())
    pack.main()
    rows = packed.load(WORKSPACE.pack).rows
    labels = pd.Series(rows["label"].tolist(), packed.load_hashes(WORKSPACE.pack))
    assert [labels.get(entry["data"]["hash"]) for entry in tasks] == [1, 0, None, 1]
    votes = {entry["id"]: entry["annotations"] for entry in export}
    people = [votes[number][0] for number in numbers[:2]]
    times = [person["updated_at"][:19] for person in people]
    assert table()["labelled_at"].str[:19].tolist()[-2:] == times
    assert table()["annotator"].tolist()[-2:] == [str(person["completed_by"]) for person in people]

    # and back: the pictures of the data, with the labels that they have now
    again = [
        task(Path("data", name), *PREDICTION, file=name, part="train") for name in rows["name"]
    ]
    names = ["cat", "dög", "<b> & \"c\" 'd'", "naïve café", "数字", "0"]
    project, _ = create(studio, "Again", names, again)
    assert len(rows) == 8
    assert project["parsed_label_config"]["label"]["labels"] == names
