"""A clone of the repository, in which the benchmarks run the product's own commands."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from ruamel.yaml import YAML

from imageproof.artifacts import WORKSPACE, Artifacts
from imageproof.base._dataset import Images
from imageproof.base.files import read_json
from imageproof.dvc.params_yaml import set_keys
from imageproof.outputs import TrainOutputs
from imageproof.system._process import own_code

REPOSITORY = Path(__file__).parents[1]
# What tells PyTorch and BLAS, XLA, and TensorFlow how many threads they have.
THREADS = ("OMP_NUM_THREADS", "NPROC", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


class Timed(NamedTuple):
    """Wall time of a command in seconds, and what it printed."""

    wall_s: float
    printed: str


class Training(NamedTuple):
    """One training: seconds, and the validation accuracy 0…1 after each epoch."""

    wall_s: float
    fit_s: float
    epoch_s: float
    val_accuracy: list[float]


class Server(NamedTuple):
    """A server that runs: its process, and the seconds from its start to its first answer."""

    pid: int
    start_s: float

    def memory_mb(self) -> float:
        """Memory (RSS) of all its processes in 10⁶ bytes; what they share counts in each."""
        return sum(process.memory_info().rss for process in self._processes()) / 1e6

    def processor_s(self) -> float:
        """Seconds of the processors that all its processes have used."""
        return sum(sum(process.cpu_times()[:2]) for process in self._processes())

    def _processes(self) -> list[psutil.Process]:
        process = psutil.Process(self.pid)
        return [process, *process.children(recursive=True)]


class Workspace:
    """A clone of the repository with data, and an MLflow store of its own."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "digits"
        self.store = f"sqlite:///{self.root}/mlflow.db"
        subprocess.run(["git", "clone", "--quiet", REPOSITORY, self.root], check=True)
        shutil.copy(REPOSITORY / "params.yaml", self.root)
        self.run("dvc", "pull", "--quiet", "data.dvc")
        # MLflow creates its tables once; no measurement should include that
        self.run(
            sys.executable,
            "-c",
            "from imageproof.mlflow import _store; _store.connect('digits')",
        )

    @property
    def threads(self) -> int:
        """How many threads a training or a model has, by params.yaml."""
        return int(self.params()["train"]["threads"])

    @property
    def models(self) -> list[str]:
        """The models that params.yaml lists."""
        return list(self.params()["models"])

    def run(self, *command: str, **environment: str) -> Timed:
        """Run a command that must succeed, with these additions to its environment."""
        start = time.perf_counter()
        done = subprocess.run(
            command,
            cwd=self.root,
            env=self.environment() | environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return Timed(time.perf_counter() - start, done.stdout)

    @contextmanager
    def server(
        self, *command: str, ready: str, folder: Path | None = None, **environment: str
    ) -> Iterator[Server]:
        """Run a server for the time of the block, which starts when the address `ready` answers.

        It runs in the clone, or in another folder.
        """
        start = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder or self.root,
            env=self.environment() | environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            wait_for(ready)
            yield Server(process.pid, time.perf_counter() - start)
        finally:
            process.terminate()
            process.wait(30)

    def environment(self) -> dict[str, str]:
        """The environment of commands: this Python, the clone's code, and the store beside it."""
        # MLflow sets its address in this process where an earlier part has asked its store
        own = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
        return {
            **own,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": own_code(self.root),
        }

    def set_params(self, **changes: Any) -> None:
        """Set keys of params.yaml, with double underscores for dots."""
        yaml = YAML()
        path = self.root / "params.yaml"
        values = yaml.load(path.read_text("utf-8"))
        set_keys(values, {key.replace("__", "."): new for key, new in changes.items()})
        with path.open("w", encoding="utf-8") as file:
            yaml.dump(values, file)

    def params(self) -> Any:
        """The values of params.yaml; the models of the clone are not those of this process."""
        return YAML(typ="safe").load((self.root / "params.yaml").read_text("utf-8"))

    def add_example(self, name: str) -> None:
        """Copy a network of examples/models, and its block, as a user does."""
        examples = self.root / "examples/models"
        path = self.root / "params.yaml"
        if name not in self.params()["train"]:
            shutil.copy(examples / f"{name}.py", self.root / "src/digits/models")
            block = (examples / f"{name}.yaml").read_text("utf-8")
            text = path.read_text("utf-8")
            path.write_text(text.replace("\ntrain:\n", f"\ntrain:\n{block}"), "utf-8")

    def split(self) -> None:
        """Pack, validate and split, without DVC, whose dvc.lock would name other outputs."""
        (self.root / "dvc.lock").unlink(missing_ok=True)
        for stage in ("pack", "validate", "split"):
            self.run(sys.executable, "-m", f"digits.stages.{stage}")

    def train(self, model: str, *, seed: int) -> Training:
        """Train by the stage, with tracking; the seed changes the training, not the split."""
        self.set_params(seed=seed)
        wall_s = self.run(sys.executable, "-m", "digits.stages.train", model).wall_s
        history = self.outputs(model).read_history()
        val_accuracy = [epoch["val_accuracy"] for epoch in history]
        timing = self.training_metrics(model)
        return Training(wall_s, timing["elapsed_s"], timing["epoch_s"], val_accuracy)

    def test_accuracy(self, model: str) -> float:
        """Test accuracy 0…1 of the last trained model, by the stage."""
        self.run(sys.executable, "-m", "digits.stages.evaluate", model)
        return Artifacts(self.root).evaluated(model).read_metrics()["test"]["accuracy"]

    def train_plainly(
        self,
        model: str,
        *,
        seed: int,
        script: str,
        python: str,
        options: Sequence[str],
    ) -> tuple[Training, float]:
        """Train by a script of benchmarks/peers on the same rows; also its test accuracy 0…1."""
        epochs = self.params()["train"][model]["fit"]["epochs"]
        path = REPOSITORY / "benchmarks/peers" / script
        arguments = (str(WORKSPACE.split_summary.parent), model, str(epochs), str(seed), *options)
        threads = dict.fromkeys(THREADS, str(self.threads))
        cache = str(self.root / ".state/inductor")
        timed = self.run(python, str(path), *arguments, TORCHINDUCTOR_CACHE_DIR=cache, **threads)
        result = json.loads(timed.printed.splitlines()[-1])
        accuracy = float(result.pop("accuracy"))
        return Training(timed.wall_s, **result), accuracy

    def training_metrics(self, model: str) -> dict[str, float]:
        """What the last training of the model cost."""
        return self.outputs(model).read_metrics()

    def run_record(self, model: str) -> dict[str, Any]:
        """The record of the last training's MLflow run."""
        record: dict[str, Any] = read_json(self.outputs(model).run, dict[str, Any])
        return record

    def outputs(self, model: str) -> TrainOutputs:
        """The files of the last training of the model."""
        return Artifacts(self.root).trained(model)

    def register(self, model: str) -> str:
        """The address of the last trained model, registered as a version without the gate."""
        import mlflow

        from imageproof.registry._versions import Registry, trained_run

        mlflow.set_tracking_uri(self.store)
        run_id = self.run_record(model)["run_id"]
        registry = Registry("digits")
        restored = mlflow.search_runs(
            filter_string=f"tags.`digits.restored_from` = '{run_id}'",
            search_all_experiments=True,
            output_format="list",
        )
        run_id = restored[0].info.run_id if restored else run_id
        return registry.uri(registry.register(trained_run(run_id)))

    def pull(self) -> None:
        """Fetch the models that DVC's remote has, and log their runs."""
        self.run("dvc", "pull", "--quiet")
        self.run("digits", "restore")

    def images(self, split: str) -> Images:
        """The images of a split uint8 (n, height, width)."""
        return Artifacts(self.root).read_split(split).data.images


def free_port() -> int:
    """A free port of 127.0.0.1."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_for(address: str) -> None:
    """Return when the server answers.

    Raises:
        TimeoutError: it does not within two minutes.
    """
    for _ in range(6000):
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.02)
    raise TimeoutError(f"{address} did not answer")
