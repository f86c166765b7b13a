"""A registry to fight in: models that are right and wrong on chosen rows, in a real MLflow store.

The hold-out images carry their label in the first pixel, and marks in the next five. A model
reads the label off, and is wrong on the rows whose mark it falls for.
"""

import os
import subprocess
from pathlib import Path

import numpy as np
from mlflow import MlflowClient
from support import record_outputs

from digits.core import provenance
from digits.core.artifacts import split_path, split_tags
from digits.core.dataset import Dataset, Split, save_split
from digits.core.files import write_json
from digits.evaluation.gate import Check, Decision
from digits.registry.artifacts import ModelFiles
from digits.registry.candidate import VALIDATION
from digits.registry.versions import TrainedRun, trained_run
from digits.tracking import store
from digits.tracking.runs import MODEL_SHA256

NAME = "digits"  # of the registered model
RECORDED = {"model": "mlp", "seed": 42, "classes": 10, "threads": 2}
EVEN, ALSO_EVEN, ONE_CLASS, FEW, FEW_MORE = 1, 2, 3, 4, 5  # pixels that mark rows


def prepare(digits: Dataset) -> None:
    """Lay out hold-out, validated data and a commit in the current folder, a `project`."""
    images, labels = digits.images.copy(), digits.labels
    rows = np.arange(len(images))
    images[:, 0, :6] = 0
    images[:, 0, 0] = 100 + labels
    images[:, 0, EVEN] = (rows >= 600) & (rows < 630)
    images[:, 0, ALSO_EVEN] = (rows >= 700) & (rows < 730)
    images[np.flatnonzero(labels == 3)[:30], 0, ONE_CLASS] = 1
    images[:2, 0, FEW] = 1
    images[2:5, 0, FEW_MORE] = 1
    save_split(split_path("holdout"), Split(Dataset(images, labels), rows))
    Path("data.dvc").write_text(f"outs:\n- md5: {'d' * 32}\n", encoding="utf-8")
    write_json(VALIDATION, {"success": True, "critical": 0})
    record_outputs()
    Path(".gitignore").write_text("artifacts\nmlflow.db*\nmlartifacts\n", encoding="utf-8")
    for command in ("init -q", "add .", "-c user.name=t -c user.email=t@t commit -qm x"):
        subprocess.run(["git", *command.split()], check=True)


def enter(folder: Path) -> None:
    """Make a folder the current one, and its store the one that MLflow asks."""
    os.environ.pop("MLFLOW_TRACKING_URI", None)  # set by MLflow itself: the store before
    os.chdir(folder)
    store.connect()


def fighter(
    *falls_for: int,
    shape: tuple[int, int] = (8, 8),
    classes: int = 10,
    activation: str = "softmax",
    **tags: str,
) -> TrainedRun:
    """A logged run of a model that calls marked rows by the next class."""
    import keras

    from digits.tracking import runs

    known = {**split_tags({}), **provenance.tags(stage="train@x")}
    with runs.active_run("fighter", params=RECORDED, tags=known | tags) as run:
        network = keras.Sequential(
            [
                keras.Input(shape, dtype="uint8"),
                keras.layers.Flatten(),
                keras.layers.Dense(classes, activation=activation),
            ]
        )
        network.layers[-1].set_weights(_weights(falls_for, shape[0] * shape[1], classes))
        runs.log_model(network, metrics={})
    return trained_run(run.info.run_id)


def accept(
    _model: TrainedRun, _files: ModelFiles, challenger: str, champion: str | None
) -> Decision:
    """Accept every challenger, quickly."""
    return Decision(challenger, champion, (Check("kind", True, "", "", {"figure": 1.0}),))


def forget_hash(model: TrainedRun, version: str) -> None:
    """Make a run and its version be of the time before hashes were recorded."""
    client = MlflowClient()
    client.delete_tag(model.run_id, MODEL_SHA256)
    client.delete_model_version_tag(NAME, version, MODEL_SHA256)


def _weights(falls_for: tuple[int, ...], pixels: int, classes: int) -> list[np.ndarray]:
    """The class k whose 100 + k is nearest to the first pixel has the highest logit."""
    codes = 100.0 + np.arange(classes)
    kernel = np.zeros((pixels, classes))
    kernel[[0, *falls_for]] = 2 * codes
    return [kernel, -(codes**2)]
