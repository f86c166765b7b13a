"""A training that was killed goes on at its last epoch, and ends as one that was not."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import only_run
from mlflow import MlflowClient
from support import SMALL, write_params
from test_fit import fingerprint, fit, recipe

from imageproof.keras.checkpoints import Checkpoint, State

pytestmark = pytest.mark.usefixtures("tensorflow")


class KilledError(Exception):
    pass


def build(_, *, image_shape, classes):
    """A small network that draws without a seed; its first dense layer is frozen."""
    from keras import Input, Sequential, layers, random

    class Noise(layers.Layer):
        def call(self, values, training=False):
            return random.dropout(values, 0.2) if training else values

    frozen = layers.Dense(16, activation="relu", trainable=False)
    inputs = [Input(image_shape, dtype="uint8"), layers.Rescaling(1 / 16, dtype="float32")]
    head = [layers.Dropout(0.2), Noise(), layers.Dense(classes, "softmax")]
    return Sequential([*inputs, layers.Flatten(), frozen, *head])


def unfreeze(model, *, layers):
    for layer in model.layers[-layers:]:
        layer.trainable = True


def adapt(model, images):
    """Set the frozen layer."""
    frozen = next(layer for layer in model.layers if layer.weights)
    frozen.set_weights([np.resize(images / 64 - 0.1, w.shape) for w in frozen.get_weights()])


# Mixed precision and batch normalization; what draws or is adapted, best weights, two phases.
CASES = {
    "compact": ({"fit": {"epochs": 4, "batch_size": 64, "mixed_precision": True}}, {}),
    "finetune": (
        {
            "fit": {"epochs": 1, "batch_size": 25, "keep": "best"},
            "optimizer__learning_rate": 0.3,  # so large that the first epoch is best
            "fine_tune": {"epochs": 3, "layers": 4, "learning_rate": 0.2},
        },
        {"file": sys.modules[__name__]},
    ),
}


@pytest.mark.parametrize("model", CASES)
def test_killed_training_ends_with_the_same_bits(tmp_path, images_8x8, model):
    path = tmp_path / "state.npz"
    epochs = []
    changes, options = CASES[model]
    options["recipe"] = recipe(model, **changes)

    def die(epoch, _):
        epochs.append(epoch)
        if epoch in (1, 3):
            raise KilledError

    def resumed():
        return fit(images_8x8, model, on_epoch=die, checkpoint=Checkpoint(path), **options)

    whole = fit(images_8x8, model, **options)
    if model == "finetune":
        rate = whole.network.optimizer.get_config()["learning_rate"]
        assert rate == pytest.approx(0.2)
        assert all(layer.trainable for layer in whole.network.layers)
    for _ in range(2):
        with pytest.raises(KilledError):
            resumed()
    spent_s = Checkpoint(path).state.spent["elapsed_s"]
    last = resumed()
    again = resumed()
    assert epochs == [1, 2, 3, 4]
    assert last.timing["elapsed_s"] > spent_s
    assert again.timing["epoch_s"] == last.timing["epoch_s"]
    assert last.prints == {4: whole.prints[4]}
    for training in (last, again):
        assert fingerprint(training.model) == fingerprint(whole.model)
        assert training.history == whole.history


@pytest.mark.parametrize("length", [9, None], ids=["cut", "object"])
def test_damaged_state_is_a_warning(tmp_path, capsys, length):
    path = tmp_path / "state.npz"
    np.savez(path, state=np.array([{}], dtype=object))
    path.write_bytes(path.read_bytes()[:length])
    assert Checkpoint(path).state == State()
    warning = capsys.readouterr().err
    assert warning.startswith(f"warning: {path}: cannot be read as the state of a training: ")
    assert warning.endswith("; the training starts anew\n")


def test_state_has_one_process(tmp_path):
    path = tmp_path / "new" / "state.npz"
    first = Checkpoint.acquire(path)
    first.begin("a1")
    second = Checkpoint.acquire(path)
    assert (second.path, second.state.run_id) == (None, "")
    second.begin("b2")
    first.remove()
    again = Checkpoint.acquire(path)
    assert (again.path, again.state.run_id) == (path, "")


def stage(*, killed_after=""):
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
def test_killed_stage_goes_on_in_its_run(project):
    write_params(SMALL | {"train.mlp.fit": {"epochs": 20, "batch_size": 20}})
    client = MlflowClient(f"sqlite:///{project}/mlflow.db")
    killed = stage(killed_after="mlp epoch 2/20")
    [state] = Path(".state/trainings").glob("*.npz")
    started = only_run(client).info
    lines = stage()
    finished = only_run(client).info
    assert (started.status, finished.status) == ("RUNNING", "FINISHED")
    assert finished.run_id == started.run_id
    reached = int(re.search(r"mlp goes on after epoch (\d+)/20\n", "".join(lines))[1])
    assert reached >= max(2, len(killed) - 1)
    assert len(lines) == 2 + 20 - reached  # the first says how many steps there are
    steps = [point.step for point in client.get_metric_history(finished.run_id, "val_loss")]
    assert steps == [*range(1, 21)]
    assert not state.exists()
