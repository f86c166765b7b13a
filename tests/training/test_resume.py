"""A training that was killed goes on at its last epoch, and ends as one that was not."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import only_run
from mlflow import MlflowClient
from support import SMALL, write_params
from test_fit import fingerprint, fit, recipe

from imageproof.base.dataset import Dataset
from imageproof.keras.checkpoints import Checkpoint

pytestmark = pytest.mark.usefixtures("tensorflow")

FURTHER = {"epochs": 3, "layers": 3, "learning_rate": 0.001}
# Dropout, batch normalization, mixed precision, what is adapted; the best weights; two phases.
RECIPES: dict[str, dict[str, Any]] = {
    "cnn": {"train.cnn.fit.epochs": 4},
    "compact": {"train.compact.fit": {"epochs": 4, "batch_size": 64, "mixed_precision": True}},
    "mlp": {
        "train.mlp.fit": {"epochs": 4, "batch_size": 25, "keep": "best"},
        "train.mlp.optimizer.learning_rate": 0.3,  # so large that the first epoch is best
    },
    "finetune": {"train.finetune.fit.keep": "best", "train.finetune.fine_tune": FURTHER},
}


class KilledError(Exception):
    pass


def backbone(_: object, *, image_shape: tuple[int, ...], classes: int) -> Any:
    """A small network; its first dense layer is frozen, as a backbone is."""
    from keras import Input, Sequential, layers

    frozen = layers.Dense(16, activation="relu", trainable=False)
    inputs = [Input(image_shape, dtype="uint8"), layers.Rescaling(1 / 16, dtype="float32")]
    head = [layers.Dropout(0.2), layers.Dense(classes, "softmax")]
    return Sequential([*inputs, layers.Flatten(), frozen, *head])


def unfreeze(model: Any, *, layers: int) -> None:
    for layer in model.layers[-layers:]:
        layer.trainable = True


def adapt(model: Any, images: np.ndarray) -> None:
    """Set the frozen layer."""
    frozen = next(layer for layer in model.layers if layer.weights)
    frozen.set_weights([np.resize(images / 64 - 0.1, w.shape) for w in frozen.get_weights()])


@pytest.mark.parametrize("model", RECIPES)
def test_killed_training_ends_with_the_same_bits(
    tmp_path: Path, images_8x8: Dataset, model: str
) -> None:
    file = tmp_path / "state.npz"
    epochs: list[int] = []
    of: Any = {"recipe": recipe(model, **RECIPES[model])}
    of |= {"finetune": {"build": backbone, "unfreeze": unfreeze}}.get(model, {})
    of |= {"mlp": {"build": backbone, "adapt": adapt}}.get(model, {})

    def die(epoch: int, _: object) -> None:
        epochs.append(epoch)
        if epoch in (0, 2):
            raise KilledError

    whole = fit(images_8x8, model, **of)
    for _ in range(2):
        with pytest.raises(KilledError):
            fit(images_8x8, model, on_epoch=die, checkpoint=Checkpoint(file), **of)
    checkpoint = Checkpoint(file)
    spent_s = checkpoint.state.spent["elapsed_s"]
    last = fit(images_8x8, model, on_epoch=die, checkpoint=checkpoint, **of)
    assert last.timing["elapsed_s"] > spent_s
    again = fit(images_8x8, model, on_epoch=die, checkpoint=Checkpoint(file), **of)
    assert epochs == [0, 1, 2, 3]
    for resumed in (last, again):
        assert fingerprint(resumed.model) == fingerprint(whole.model)
        assert resumed.history == whole.history
    assert again.timing["epoch_s"] == last.timing["epoch_s"]


@pytest.mark.parametrize("damage", [b"PK\x03\x04", None], ids=["cut", "object"])
def test_damaged_state_is_a_warning(
    tmp_path: Path, images_8x8: Dataset, capsys: pytest.CaptureFixture[str], damage: bytes | None
) -> None:
    file = tmp_path / "state.npz"
    if damage is None:
        np.savez(file, state=np.array([{}], dtype=object))
    else:
        file.write_bytes(damage)
    started = fit(images_8x8, checkpoint=Checkpoint(file))
    assert len(started.history) == 2
    warning = capsys.readouterr().err
    assert warning.startswith(f"warning: {file}: cannot be read as the state of a training: ")
    assert warning.endswith("; the training starts anew\n")


def test_state_has_one_process(tmp_path: Path) -> None:
    first = Checkpoint.acquire(tmp_path / "new" / "state.npz")
    first.begin("a1")
    second = Checkpoint.acquire(tmp_path / "new" / "state.npz")
    assert (second.path, second.state.run_id) == (None, "")
    second.begin("b2")
    first.remove()
    again = Checkpoint.acquire(tmp_path / "new" / "state.npz")
    assert (again.path, again.state.run_id) == (first.path, "")


def test_state_unused_for_a_week_is_deleted(tmp_path: Path) -> None:
    for name, days in (("old", 8), ("young", 6)):
        path = tmp_path / name
        path.touch()
        os.utime(path, (time.time() - days * 24 * 3600,) * 2)
    Checkpoint(tmp_path / "state.npz").begin("a1")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state.npz", "young"]


def stage(*, killed_after: str = "") -> list[str]:
    """The lines of `train@mlp`, which gets SIGKILL after the line that begins so."""
    command = [sys.executable, "-m", "digits.stages.train", "mlp"]
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if killed_after and line.startswith(killed_after):
                process.kill()
    assert process.returncode == (-9 if killed_after else 0)
    return lines


@pytest.mark.slow
def test_killed_stage_goes_on_in_its_run(project: Path) -> None:
    write_params(SMALL | {"train.mlp.fit": {"epochs": 40, "batch_size": 20}})
    killed = stage(killed_after="mlp epoch 2/40")
    [state] = Path(".state/trainings").glob("*.npz")
    begun = only_run(MlflowClient(f"sqlite:///{project}/mlflow.db"))
    lines = stage()
    client = MlflowClient(f"sqlite:///{project}/mlflow.db")
    run = only_run(client)
    [line] = [line for line in lines if line.startswith("mlp goes on after epoch ")]
    reached = int(line.removeprefix("mlp goes on after epoch ").removesuffix("/40\n"))
    assert (begun.info.status, run.info.status) == ("RUNNING", "FINISHED")
    assert run.info.run_id == begun.info.run_id
    assert reached >= 2
    assert len(lines) == 2 + 40 - reached  # the first says how many steps there are
    assert len(killed) - 1 <= reached
    steps = [point.step for point in client.get_metric_history(run.info.run_id, "val_loss")]
    assert steps == list(range(40))
    assert not state.exists()
    model = Path("artifacts/train/mlp/model.onnx").read_bytes()
    stage()
    assert Path("artifacts/train/mlp/model.onnx").read_bytes() == model
