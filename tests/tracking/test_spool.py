"""The spool: records wait for a server, whoever wrote them, and arrive whatever others do."""

import json
import os
import re
from pathlib import Path

import pytest
from mlflow import MlflowClient
from support import Server, python

from digits.tracking import spool, store
from digits.tracking.record import ARTIFACTS

NOWHERE = "http://127.0.0.1:9"

LEFT = """
from pathlib import Path
from digits.tracking import spool

record = Path(".state/spool/http-127-0-0-1-9") / f"{'a' * 32}.000001"
record.mkdir(parents=True)
(record / "record.json").write_text('{"run_id": "%s", "tags": {"a": "b"}}' % ("a" * 32))
print(spool.flush("a" * 32))
"""

TOGETHER = """
import os
from digits.tracking import spool
from digits.tracking.record import Record

children = []
for number in range(3):
    if child := os.fork():
        children.append(child)
    else:
        for step in range(40):
            spool.log(Record("a" * 32).with_metrics({f"m{number}": step}, step=step))
        os._exit(0)
assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
"""


def test_a_flush_ends_also_for_a_run_that_only_earlier_processes_logged_to(workspace: Path) -> None:
    done = python("-c", LEFT, env=os.environ | {"MLFLOW_TRACKING_URI": NOWHERE}, timeout=60)
    assert done.stdout == "False\n"
    assert "what is logged waits in .state/spool" in done.stderr


def test_processes_that_log_to_one_run_at_once_lose_nothing(workspace: Path) -> None:
    done = python("-c", TOGETHER, env=os.environ | {"MLFLOW_TRACKING_URI": NOWHERE}, timeout=120)
    assert done.returncode == 0, done.stderr
    assert len(list(spool.FOLDER.glob("*/*/record.json"))) == 120


@pytest.mark.slow
def test_a_record_that_the_server_fails_at_does_not_hold_up_other_runs(
    workspace: Path,
    mlflow_server: Server,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.uri)
    client, experiment = MlflowClient(mlflow_server.uri), store.connect("spooled")
    first, second = sorted(client.create_run(experiment).info.run_id for _ in range(2))
    folder = spool.FOLDER / re.sub(r"\W+", "-", mlflow_server.uri)
    for run_id in (first, second):
        (folder / f"{run_id}.000001" / ARTIFACTS).mkdir(parents=True)
        record = {"run_id": run_id, "tags": {"sent": "yes"}}
        (folder / f"{run_id}.000001" / "record.json").write_text(json.dumps(record))
    (folder / f"{first}.000001" / ARTIFACTS / "a.txt").write_text("a")
    stored = mlflow_server.folder / "mlartifacts"
    stored.touch()  # a file, so that the server can store none

    spool.send_left()
    assert client.get_run(second).data.tags["sent"] == "yes"
    assert "sent" not in client.get_run(first).data.tags
    failing, sent = capsys.readouterr().err.splitlines()
    assert "what is logged waits in .state/spool" in failing
    assert sent == "warning: 1 of 2 records that waited in .state/spool were sent to MLflow"

    stored.unlink()
    spool.send_left()
    assert client.get_run(first).data.tags["sent"] == "yes"
