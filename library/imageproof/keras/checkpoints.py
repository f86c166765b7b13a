"""The state of a training after each epoch, in a file: one that was killed goes on from there.

Keras's BackupAndRestore leaves out the state of random layers: after it dropout drops others.
"""

import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock, Timeout
from pydantic import BaseModel

from imageproof.base._dataset import Metrics, load_arrays
from imageproof.base.errors import DataError
from imageproof.base.files import parsing, replacing

if TYPE_CHECKING:
    import keras

FORGOTTEN_AFTER_S = 7 * 24 * 3600.0  # a training that nobody started again

Arrays = list[np.ndarray]


class State(BaseModel):
    """What a training has reached; times in s. `phase_start`: the epochs before this phase."""

    run_id: str = ""  # of MLflow
    history: list[Metrics] = []
    spent: Metrics = {}  # user_s, system_s, elapsed_s
    epoch_s: list[float] = []
    phase: int = 0
    phase_start: int = 0


class Checkpoint:
    """The saved state of a training, empty if there is none. Without a path nothing is saved."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.state = State()
        # of the variables, the optimizer's variables, and the best weights so far
        self._arrays: defaultdict[str, Arrays] = defaultdict(list)
        self._lock: FileLock | None = None
        if path and path.exists():
            try:
                self._read(path)
            except DataError as error:
                print(f"warning: {error}; the training starts anew", file=sys.stderr)

    @classmethod
    def acquire(cls, path: Path) -> "Checkpoint":
        """The checkpoint at a path; one without a path while another process uses it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{path}.lock")  # the system releases it when the process ends
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return cls()
        checkpoint = cls(path)
        checkpoint._lock = lock
        return checkpoint

    def begin(self, run_id: str) -> None:
        """Remember the run; delete the checkpoints that nobody has used for a week."""
        self.state.run_id = run_id
        if not self.path:
            return
        self._write(self.path)
        for path in self.path.parent.iterdir():
            with suppress(FileNotFoundError):  # another training moves and removes its own
                if path.stat().st_mtime < time.time() - FORGOTTEN_AFTER_S:
                    path.unlink()

    def save(
        self,
        model: "keras.Model",
        state: State,
        best: Arrays,
    ) -> None:
        """Save all that decides the epochs to come; `best` are the weights of the best so far."""
        self.state = state.model_copy(update={"run_id": self.state.run_id})
        if self.path:
            variables = _values(_deciding(model))
            optimizer = _values(model.optimizer.variables)
            self._arrays.update(variables=variables, optimizer=optimizer, best=best)
            self._write(self.path)

    def restore(self, model: "keras.Model") -> Arrays:
        """Set all variables of the model, random states too; returns the best weights so far."""
        _assign(_deciding(model), self._arrays["variables"])
        return self._arrays["best"]

    def restore_optimizer(self, model: "keras.Model") -> None:
        """Set the state of the optimizer of a compiled model."""
        with model.distribute_strategy.scope():
            model.optimizer.build(model.trainable_variables)
            _assign(model.optimizer.variables, self._arrays["optimizer"])

    def remove(self) -> None:
        """Delete the file, as the training has ended; another process may use the path."""
        if self.path:
            self.path.unlink(missing_ok=True)
        if self._lock:
            self._lock.release()

    def _write(self, path: Path) -> None:
        text = self.state.model_dump_json()
        content = {"state": np.frombuffer(text.encode(), np.uint8)}
        for name, arrays in self._arrays.items():
            content |= {f"{name}.{number}": array for number, array in enumerate(arrays)}
        with replacing(path) as temporary:
            np.savez(temporary, allow_pickle=False, **content)

    def _read(self, path: Path) -> None:
        with parsing("the state of a training", path), path.open("rb") as file:
            content = load_arrays(file)
            self.state = State.model_validate_json(content.pop("state").tobytes())
        for name, array in content.items():  # in their order
            self._arrays[name.partition(".")[0]].append(array)


def _deciding(model: "keras.Model") -> "list[keras.Variable]":
    """The variables of a model, and the state from which Keras draws without a seed."""
    from keras.src.random.seed_generator import global_seed_generator

    return [*model.variables, global_seed_generator().state]


def _values(variables: Iterable["keras.Variable"]) -> Arrays:
    return [np.array(variable) for variable in variables]


def _assign(variables: Iterable["keras.Variable"], values: Arrays) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
