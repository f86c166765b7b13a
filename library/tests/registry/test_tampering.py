"""Models that are no longer what was logged: nothing loads one, and everything says so."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import requests
from arena import fighter, files_of
from example import EXAMPLE, NAME, context, load_project
from helpers import finding, forbid_tensorflow
from mlflow import MlflowClient
from PIL import Image

from imageproof.answer._demo import players
from imageproof.artifacts import WORKSPACE
from imageproof.base.errors import IntegrityError
from imageproof.cli import _answers as cli
from imageproof.registry import _promotion
from imageproof.registry._reproduce import reproduce_version
from imageproof.registry._version import find_origin
from imageproof.registry._versions import find, trained_run
from imageproof.system import _process

CHAMPION, FORMER = f"models:/{NAME}/3", f"models:/{NAME}/2"
CHANGED = "its files are not those that were logged (SHA-256 of all "


def run_of(uri):
    return trained_run(find(uri).run_id)


def another_model(folder):
    """A sound ONNX model whose answers are wrong."""
    network = onnx.load(folder / "model.onnx")
    for weights in network.graph.initializer:
        zeros = np.zeros_like(onnx.numpy_helper.to_array(weights))
        weights.CopyFrom(onnx.numpy_helper.from_array(zeros, weights.name))
    onnx.save(network, folder / "model.onnx")


def promote(model, *, dry_run=False):
    candidate = _promotion.Candidate(run_id=model.run_id)
    return _promotion.promote_training(candidate, project=load_project(), dry_run=dry_run)


READERS = {
    "promote": lambda: promote(run_of(CHAMPION)),
    "promote --dry-run": lambda: promote(run_of(CHAMPION), dry_run=True),
    "predict": lambda: cli.predict(context(), [Path("seven.png")]),
    "score": lambda: cli.score(context(), "new.npz", "scored.parquet"),
    "demo": lambda: players(NAME, threads=2),
    "trace": lambda: find_origin(CHAMPION).check_unchanged(),
    "reproduce": lambda: reproduce_version(CHAMPION, load_project(), tolerance=0),
    "serve": lambda: cli.serve(context(), port=0),
    "package": lambda: cli.package(context(), out=Path("package")),
    "challenge": lambda: promote(fighter(), dry_run=True),
}


def test_replaced_model_is_refused_by_all_readers(chain):
    READERS["trace"]()
    new = fighter()
    another_model(files_of(run_of(CHAMPION)))
    Image.fromarray(np.zeros((8, 8), np.uint8)).save("seven.png")
    np.savez("new.npz", images=np.zeros((4, 8, 8), np.uint8))
    for reader, read in READERS.items():
        line = finding(IntegrityError, read)
        assert line.startswith("models:/"), reader
        assert CHANGED in line, reader
    for run in (run_of(FORMER), new):
        another_model(files_of(run))
    line = finding(IntegrityError, lambda: _promotion.rollback(NAME))
    assert line.startswith(f"{FORMER}: {CHANGED}")
    assert CHANGED in finding(IntegrityError, lambda: promote(new))
    assert not MlflowClient().search_model_versions(f"run_id = '{new.run_id}'")
    assert chain.champion() == "3"


def test_every_file_of_the_model_counts(chain):
    for file in ("MLmodel", "extra_files/calibration.npz", "added.txt"):
        path = files_of(run_of(CHAMPION)) / file
        path.touch()
        content = path.read_bytes()
        path.write_bytes(content + b"\n")
        line = finding(IntegrityError, READERS["trace"])
        assert line.startswith(f"{CHAMPION}: {CHANGED}")
        path.write_bytes(content)
    folder = files_of(run_of(CHAMPION))
    folder.rename("away")
    folder.symlink_to(folder)
    line = finding(IntegrityError, READERS["trace"])
    assert line.startswith(f"{CHAMPION}: its artifacts are gone (")


def test_the_gates_record_is_what_the_gate_wrote(chain):
    [record] = Path("mlartifacts").rglob(f"gate/{NAME}-3-*.json")
    record.write_text(record.read_text("utf-8").replace("accepted", "refused"), "utf-8")
    assert "is not what the gate wrote" in finding(IntegrityError, READERS["trace"])


def test_full_disk_is_no_lost_model(chain, disk, monkeypatch, capsys):
    monkeypatch.setattr(tempfile, "tempdir", str(disk))
    (disk / "full").write_bytes(bytes(60_000))
    with pytest.raises(OSError, match="No space left on device") as raised:
        find_origin(CHAMPION).check_unchanged()
    assert _process.report_error(raised.value) == 4
    assert capsys.readouterr().err.startswith(f"error: {disk}: No space left on device")


def test_champion_is_served_from_a_copy(chain, tmp_path):
    holdout = WORKSPACE.read_split("holdout").data
    with subprocess.Popen(
        [sys.executable, EXAMPLE, "serve", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)} | forbid_tensorflow(tmp_path / "forbidden"),
    ) as server:
        served, _, address = server.stdout.readline().split()[:3]
        another_model(files_of(run_of(CHAMPION)))
        body = {"instances": holdout.images[:5].tolist()}
        answer = requests.post(address, json=body, timeout=60)
        foreign = requests.post(address, json=body, headers={"Host": "evil.example"}, timeout=60)
        server.kill()
    assert served == CHAMPION
    assert foreign.status_code == 403
    predictions = answer.json()["predictions"]
    labels = holdout.labels[:5]
    assert np.argmax(predictions["probabilities"], axis=1).tolist() == labels.tolist()
    assert predictions["class"] == [*map(str, labels)]
    assert not list(tmp_path.glob("imageproof-*"))
