"""A registry to fight in: models that are right and wrong on chosen rows, in a real MLflow store.

The hold-out images carry their label in the first pixel, and marks in the next six. A model
reads the label off, and is wrong on the rows whose mark it falls for.
"""

import os
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import pandas as pd
from example import load_project, project_with
from helpers import active_run, commit, linear_model, record_outputs, run_record, write_baseline
from mlflow import MlflowClient

from imageproof.artifacts import WORKSPACE, Artifacts, split_tags
from imageproof.base._dataset import Dataset, Split, save_split
from imageproof.base._naming import project_name
from imageproof.base.files import write_json
from imageproof.data import packed
from imageproof.dvc import run_tags
from imageproof.judge._confusion import confusion_matrix
from imageproof.judge.gate import Check, Decision
from imageproof.mlflow import _logged_model, _runs, _store
from imageproof.mlflow._logged_model import MODEL_SHA256
from imageproof.registry import _promotion
from imageproof.registry._evidence import Gate
from imageproof.registry._seen_rows import rows_of_split
from imageproof.registry._versions import trained_run

RECORDED = {"model": "mlp", "seed": 42, "classes": 10, "threads": 2}
# Pixels that mark rows.
EVEN = 1
ALSO_EVEN = 2
FEW = 4
FEW_MORE = 5
TEST_ONLY = 6  # marks no hold-out row


def prepare(data):
    """Lay out hold-out, validated data and a commit in the current folder, a `project`."""
    images = data.images.copy()
    labels = data.labels
    rows = np.arange(len(images))
    images[:, 0, :7] = 0
    images[:, 0, 0] = 100 + labels
    images[:, 0, EVEN] = (rows >= 600) & (rows < 630)
    images[:, 0, ALSO_EVEN] = (rows >= 700) & (rows < 730)
    images[:2, 0, FEW] = 1
    images[2:5, 0, FEW_MORE] = 1
    test = images.copy()
    test[:100, 0, TEST_ONLY] = 1
    save_split(WORKSPACE.split("holdout"), Split(Dataset(images, labels), rows))
    save_split(WORKSPACE.split("test"), Split(Dataset(test, labels), len(rows) + rows))
    rehash(rows)
    write_baseline()
    Path("data.dvc").write_text(f"outs:\n- md5: {'d' * 32}\n", encoding="utf-8")
    write_json(WORKSPACE.validation, {"success": True, "critical": 0})
    describe({"row": rows})
    record_outputs()
    Path(".gitignore").write_text("artifacts\nmlflow.db*\nmlartifacts\n", encoding="utf-8")
    commit(".")


def rehash(holdout):
    """Write the hashes of all rows; `holdout` numbers those that judge."""
    parts = {
        "train": np.arange(10_000, 11_000),
        "validation": np.arange(11_000, 11_500),
        "test": np.arange(20_000, 20_000 + len(holdout)),
        "holdout": holdout,
    }
    numbers = np.arange(30_000)
    hashes = pd.Series([f"{number:032x}" for number in numbers])
    packed.save_split_hashes(WORKSPACE.split_hashes, parts, hashes)


def describe(columns):
    """Write what is known of the hold-out rows, such as `meta_writer`."""
    WORKSPACE.packed_rows.parent.mkdir(exist_ok=True)
    pd.DataFrame(columns).to_parquet(WORKSPACE.packed_rows)


def enter(folder):
    """Make a folder the current one, and its store the one that MLflow asks."""
    os.environ.pop("MLFLOW_TRACKING_URI", None)  # set by MLflow itself: the store before
    os.chdir(folder)
    _store.connect(project_name())


def fighter(
    *falls_for,
    shape=(8, 8),
    classes=10,
    last="Softmax",
    network=None,
    calibration=None,
    **tags,
):
    """A logged run of a model that calls marked rows by the next class; `last` ends its graph.

    `network` is another model to log; `calibration` are other probabilities of the truth.
    """
    tags = _tags("train@x") | tags
    with active_run("fighter", params=RECORDED, tags=tags) as run, TemporaryDirectory() as folder:
        outputs = Artifacts(Path(folder)).trained("fighter")
        _write(outputs, network or _network(falls_for, shape, classes, last))
        if calibration is not None:
            outputs.write_calibration(1.0, calibration)
        example = np.zeros((1, *shape), np.uint8)
        _logged_model.log(run.info.run_id, outputs, load_project(), example=example)
    return trained_run(run.info.run_id)


def fighter_elsewhere(model, *falls_for):
    """The outputs of a training of `model` that another store knows: `restore` logs it."""
    outputs = WORKSPACE.trained(model)
    outputs.folder.mkdir(parents=True, exist_ok=True)
    _write(outputs, _network(falls_for, (8, 8), 10, "Softmax"))
    outputs.write_history([dict.fromkeys(("loss", "accuracy", "val_loss", "val_accuracy"), 0.5)])
    tags = _tags(f"train@{model}")
    record = run_record(model, params=RECORDED | {"model": model}, tags=tags)
    write_json(outputs.run, record.model_dump())
    record_outputs()


def log_matrix(run_id, predicted, labels):
    """Log the confusion matrix of the hold-out, as after an evaluation."""
    matrix = pd.DataFrame(confusion_matrix(predicted, labels, classes=10))
    MlflowClient().log_text(run_id, matrix.to_csv(), "holdout_confusion_matrix.csv")


def promote(run, judge, *, reason=""):
    """The outcome for a version that carries the rows of the split here."""
    return _promotion.promote(
        run, project_name(), judge=judge, rows=rows_of_split(WORKSPACE), reason=reason
    )


def gate(changes=None):
    """The gate by params with these changes; how fast this machine is now decides nothing."""
    quick = {"promote.max_latency_ms": None, "promote.min_accuracy": 0.9}
    return Gate(project_with(quick | (changes or {})))


def check_of(outcome, name):
    """The gate's check of this name."""
    [check] = [check for check in outcome.decision.checks if check.name == name]
    return check


def accept(_run, _files, challenger, champion):
    """Accept every challenger, quickly."""
    return Decision(challenger, champion, (Check("kind", True, "", "", {"figure": 1.0}),))


def files_of(model):
    """The folder of its files."""
    return Path("mlartifacts", "models", model.model_id, "artifacts").absolute()


def sign(model, version):
    """Record the hash of a version's files as they are now, so that they are loaded."""
    sha256 = _logged_model.files_sha256(files_of(model))
    MlflowClient().set_model_version_tag(project_name(), version, _runs.tag(MODEL_SHA256), sha256)


def _write(outputs, network):
    outputs.write_calibration(1.0, np.linspace(0.5, 1, 100, dtype=np.float32))
    outputs.keras.write_bytes(b"nothing here goes on training")
    onnx.save(network, outputs.model)
    cost = ("user_s", "system_s", "elapsed_s", "epoch_s", "parameters", "temperature")
    write_json(outputs.metrics, dict.fromkeys(cost, 1.0))


def _tags(stage):
    return split_tags({}) | run_tags.tags(stage=stage, split=WORKSPACE.split("train"))


def _network(falls_for, shape, classes, last):
    """The class k whose 100 + k is nearest to the first pixel has a probability of almost 1."""
    codes = 100.0 + np.arange(classes)
    kernel = np.zeros((prod(shape), classes), np.float32)
    kernel[[0, *falls_for]] = 20 * codes
    return linear_model(kernel, np.float32(-10 * codes**2), shape, last)
