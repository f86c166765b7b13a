"""Models that are no longer what was logged: nothing loads one, and everything says so."""

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import chdir
from pathlib import Path

import arena
import mlflow
import numpy as np
import onnx
import pytest
import requests
from arena import EVEN, accept, fighter, files_of
from example import EXAMPLE, NAME, context, load_project, write_project
from helpers import finding, forbid_tensorflow
from mlflow import MlflowClient
from PIL import Image

from imageproof.answer.demo import players
from imageproof.artifacts import WORKSPACE
from imageproof.base.errors import IntegrityError
from imageproof.cli import answers as cli
from imageproof.registry import promotion
from imageproof.registry.reproduce import reproduce_version
from imageproof.registry.version import find_origin
from imageproof.registry.versions import Registry
from imageproof.system import process

CHAMPION, FORMER = f"models:/{NAME}/2", f"models:/{NAME}/1"
CHANGED = "its files are not those that were logged (SHA-256 of all "


class Ring:
    """A registry with a former champion, a champion, and a run that is not registered."""

    def __init__(self):
        self.former, self.champion, self.new = fighter(EVEN), fighter(EVEN), fighter()
        for model in (self.former, self.champion):
            promotion.promote(model, NAME, judge=accept)
        Image.fromarray(np.zeros((8, 8), np.uint8)).save("seven.png")
        np.savez("new.npz", images=np.zeros((4, 8, 8), np.uint8))


@pytest.fixture(scope="module")
def place(tmp_path_factory, migrated, images_8x8):
    folder = tmp_path_factory.mktemp("ring")
    shutil.copy(migrated, folder / "mlflow.db")
    with chdir(folder):
        write_project(images_8x8)
        arena.prepare(images_8x8)
        arena.enter(folder)
        ring = Ring()
    mlflow.set_tracking_uri("")
    return folder, ring


@pytest.fixture
def ring(place, monkeypatch):
    """The registry; what a test changes in its files is undone."""
    folder, ring = place
    monkeypatch.chdir(folder)
    arena.enter(folder)
    shutil.copytree("mlartifacts", "before")
    yield ring
    shutil.rmtree("mlartifacts")
    Path("before").rename("mlartifacts")
    mlflow.set_tracking_uri("")


def another_model(folder):
    """A sound ONNX model whose answers are wrong."""
    network = onnx.load(folder / "model.onnx")
    for weights in network.graph.initializer:
        zeros = np.zeros_like(onnx.numpy_helper.to_array(weights))
        weights.CopyFrom(onnx.numpy_helper.from_array(zeros, weights.name))
    onnx.save(network, folder / "model.onnx")


def promote(model, *, dry_run=False):
    candidate = promotion.Candidate(run_id=model.run_id)
    return promotion.promote_training(candidate, project=load_project(), dry_run=dry_run)


READERS = {
    "promote": lambda ring: promote(ring.champion),
    "promote --dry-run": lambda ring: promote(ring.champion, dry_run=True),
    "predict": lambda _: cli.predict(context(), [Path("seven.png")]),
    "score": lambda _: cli.score(context(), "new.npz", "scored.parquet"),
    "demo": lambda _: players(NAME, threads=2),
    "trace": lambda _: find_origin(CHAMPION).check_unchanged(),
    "reproduce": lambda _: reproduce_version(CHAMPION, load_project(), tolerance=0),
    "serve": lambda _: cli.serve(context(), port=0),
    "package": lambda _: cli.package(context(), out=Path("package")),
    "challenge": lambda ring: promote(ring.new, dry_run=True),
}


@pytest.mark.parametrize("reader", READERS)
def test_replaced_champion_is_refused_by_all_readers(ring, reader):
    READERS["trace"](ring)
    another_model(files_of(ring.champion))
    line = finding(IntegrityError, lambda: READERS[reader](ring))
    assert line.startswith("models:/")
    assert CHANGED in line
    assert Registry(NAME).champion() == "2"


@pytest.mark.parametrize("file", ["MLmodel", "extra_files/calibration.npz", "added.txt"])
def test_every_file_of_the_model_counts(ring, file):
    with (files_of(ring.champion) / file).open("a", encoding="utf-8") as changed:
        changed.write("\n")
    line = finding(IntegrityError, lambda: READERS["predict"](ring))
    assert line.startswith(f"{CHAMPION}: {CHANGED}")


def test_a_run_whose_model_was_replaced_is_not_even_registered(ring):
    another_model(files_of(ring.new))
    assert CHANGED in finding(IntegrityError, lambda: promote(ring.new))
    assert not MlflowClient().search_model_versions(f"run_id = '{ring.new.run_id}'")


def test_no_way_back_leads_to_a_version_that_was_replaced(ring):
    another_model(files_of(ring.former))
    line = finding(IntegrityError, lambda: promotion.rollback(NAME))
    assert line.startswith(f"{FORMER}: {CHANGED}")
    assert Registry(NAME).champion() == "2"


def test_the_gates_record_is_what_the_gate_wrote(ring):
    [record] = Path("mlartifacts").rglob(f"gate/{NAME}-2-*.json")
    record.write_text(record.read_text("utf-8").replace("accepted", "refused"), "utf-8")
    assert "is not what the gate wrote" in finding(IntegrityError, lambda: READERS["trace"](ring))


def test_full_disk_is_no_lost_model(ring, disk, monkeypatch, capsys):
    monkeypatch.setattr(tempfile, "tempdir", str(disk))
    (disk / "full").write_bytes(bytes(60_000))
    with pytest.raises(OSError, match="No space left on device") as raised:
        find_origin(CHAMPION).check_unchanged()
    assert process.report_error(raised.value) == 4
    assert capsys.readouterr().err.startswith(f"error: {disk}: No space left on device")


def test_champion_is_served_from_a_copy(ring, tmp_path):
    holdout = WORKSPACE.read_split("holdout").data
    with subprocess.Popen(
        [sys.executable, EXAMPLE, "serve", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)} | forbid_tensorflow(tmp_path / "forbidden"),
    ) as server:
        served, _, address = server.stdout.readline().split()[:3]
        another_model(files_of(ring.champion))
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
