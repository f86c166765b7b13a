"""Reproducing a version: what is refused, the clone, the comparison."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import arena
import numpy as np
from arena import accept, fighter
from example import NAME
from helpers import commit, finding, run_record
from mlflow import MlflowClient

from imageproof.artifacts import WORKSPACE
from imageproof.base.errors import IntegrityError
from imageproof.base.files import write_json
from imageproof.features._backbone import backbone_path
from imageproof.registry._reproduce import (
    check_inputs,
    compare,
    reproduce_version,
    train_again,
)
from imageproof.registry._version import find_origin, load_version
from imageproof.system._repository import clone

URI = f"models:/{NAME}/1"


def test_other_predictions_are_counted_and_measured():
    recorded = np.array([[0.5, 0.5], [0.25, 0.75]], np.float32)
    repeated = np.array([[0.25, 0.75], [0.25, 0.75]], np.float32)
    text = "1 of 2 predictions identical, largest probability difference 0.25"
    assert compare("m", recorded, repeated, tolerance=0.25) == text
    finding(IntegrityError, compare, "m", recorded, repeated * np.nan, tolerance=0.2)
    line = finding(IntegrityError, compare, "m", recorded, repeated, tolerance=0.2)
    assert line == f"m: {text}; at most 0.2 is allowed (--tolerance)"


def registered(**tags):
    """The run of a new version, with such tags."""
    run = fighter(**tags)
    arena.promote(run, accept)
    return run


def reproduced(uri=URI):
    reproduce_version(uri, tolerance=0)


def loaded():
    load_version(URI, threads=1).__enter__()


def test_forged_param_is_a_line(ring):
    run = registered()
    MlflowClient().log_param(run.run_id, "image.fit", "digit")
    for key, value, work in (("image.fit", "no", loaded), ("threads", "two", reproduced)):
        with closing(sqlite3.connect("mlflow.db")) as store, store:
            store.execute("update params set value = ? where key = ?", (value, key))
        line = finding(IntegrityError, work)
        assert line.startswith(f"{URI}: the param {key} is {value!r} in its run {run.run_id}; ")


def test_what_is_not_kept_is_not_reproducible(ring):
    registered(git_dirty="true")
    assert "uncommitted changes" in finding(IntegrityError, reproduced)
    registered()
    line = finding(IntegrityError, reproduced, f"models:/{NAME}/2")
    assert "/params.yaml: its artifacts are gone (No such artifact: " in line


def test_what_is_not_as_the_run_says_is_told(ring):
    registered()
    origin = find_origin(URI)
    record = run_record("mlp", params=arena.RECORDED | {"seed": 7})
    write_json(WORKSPACE.trained("mlp").run, record.model_dump())
    line = finding(IntegrityError, check_inputs, origin, Path())
    assert line.endswith("its run says seed = 42, the params.yaml that it recorded gives 7")
    origin = replace(origin, splits=origin.splits | {"holdout": "f" * 32})
    line = finding(IntegrityError, check_inputs, origin, Path())
    assert line.startswith(f"{URI}: its holdout split had md5 {'f' * 32}, now it is ")


def test_clone_of_a_larger_repository(workspace):
    Path("shoes").mkdir()
    Path("shoes/dvc.yaml").touch()
    commit(".")
    assert (clone(Path("shoes"), workspace / "clone", "HEAD") / "dvc.yaml").exists()


def test_clone_gets_every_file_that_a_training_reads(dvc_project, tmp_path):
    Path("weights.bin").write_text("1", "utf-8")
    backbone = backbone_path("tiny")
    backbone.parent.mkdir()
    backbone.write_text("2", "utf-8")
    dvc_project.dvc("add", "-q", "weights.bin", str(backbone))
    pipeline = Path("dvc.yaml").read_text("utf-8")
    pipeline = pipeline.replace("deps: [artifacts", "deps: [weights.bin, artifacts")
    Path("dvc.yaml").write_text(pipeline, "utf-8")
    dvc_project.git("add", ".")
    dvc_project.git("commit", "-qm", "weights")
    folder = tmp_path / "clone"
    clone(Path(), folder, "HEAD")
    train_again(folder, "train@mlp", "tiny")
    assert (folder / "artifacts/train-mlp.txt").exists()
    assert (folder / backbone).read_text("utf-8") == "2"
