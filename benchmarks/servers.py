"""The servers of a trained model: MLflow's, and that of the package."""

import json
import shutil
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.client import rows
from benchmarks.workspace import Server, Workspace, free_port
from imageproof.base._dataset import Images, Probabilities

TIMEOUT_S = 60
NAMES = {
    "keras": "`mlflow models serve`, Keras flavour",
    "onnx": "`mlflow models serve`, ONNX flavour",
    "package": "the package",
}


class Target(NamedTuple):
    """A server that runs, and where it takes images."""

    server: Server
    port: int
    path: str

    def post(self, images: Images) -> Probabilities:
        """Ask with one request on a connection of its own."""
        address = f"http://127.0.0.1:{self.port}{self.path}"
        request = urllib.request.Request(
            address, question(images).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            return np.array(rows(json.load(answer)))


def question(images: Images) -> str:
    """The JSON that both servers take."""
    return json.dumps({"inputs": images.tolist()})


@contextmanager
def mlflow_server(workspace: Workspace, uri: str) -> Iterator[Target]:
    """`mlflow models serve` for the time of the block."""
    port = free_port()
    command = ["mlflow", "models", "serve", "-m", uri, "--env-manager", "local", "-p", str(port)]
    ready = f"http://127.0.0.1:{port}/ping"
    with workspace.server(
        sys.executable, "-m", *command, ready=ready, MLFLOW_TRACKING_URI=workspace.store
    ) as server:
        yield Target(server, port, "/invocations")


@contextmanager
def package_server(workspace: Workspace, folder: Path, *options: str) -> Iterator[Target]:
    """The server in the folder of a package, for the time of the block."""
    port = free_port()
    command = [sys.executable, "-m", "imageproof.serve", "--port", str(port), *options]
    ready = f"http://127.0.0.1:{port}/health"
    with workspace.server(*command, ready=ready, folder=folder, PYTHONPATH="") as server:
        yield Target(server, port, "/predict")


def package(workspace: Workspace, model: str, *, shadow: bool = False) -> Path:
    """Register the last training of the model, and package it; the folder.

    With `shadow`, the package asks the same version as its challenger.
    """
    folder = workspace.root / f"package-{model}{'-shadow' * shadow}"
    shutil.rmtree(folder, ignore_errors=True)
    version = workspace.register(model)
    options = ["--shadow", version] if shadow else []
    workspace.run("digits", "package", version, "--out", str(folder), *options)
    return folder


def log_keras(workspace: Workspace, model: str) -> str:
    """Log the last training's `.keras` file by MLflow's Keras flavour; its address."""
    import keras
    import mlflow
    import tensorflow as tf

    mlflow.set_tracking_uri(workspace.store)
    network = keras.saving.load_model(workspace.outputs(model).keras, compile=False)
    requirements = [f"tensorflow=={tf.__version__}", f"keras=={keras.__version__}"]
    with mlflow.start_run():
        logged = mlflow.tensorflow.log_model(network, name="keras", pip_requirements=requirements)
    return str(logged.model_uri)
