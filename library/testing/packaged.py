"""A package with a small model of real glyphs, and its server."""

import json
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import requests
from helpers import linear_model, served

from imageproof.base import _inference
from imageproof.base._dataset import Images, Probabilities
from imageproof.serve._model import MODEL, Confidence, Description
from imageproof.serve._package import write_folder, write_sums

THRESHOLD = 0.2
JSON = "application/json"
RAW = "application/octet-stream"
CLASSES = ["null", "eins", "zwei", "drei", *"456789"]
DESCRIPTION = Description(
    name="imageproof",
    version="7",
    model_sha256="5" * 64,
    shape=(8, 8),
    class_names=CLASSES,
    fit="stretch",
    confidence=Confidence(coverage=0.99, threshold=THRESHOLD),
)


class Package(NamedTuple):
    """A package, and what its model answers to the images."""

    folder: Path
    description: Description
    images: Images
    probabilities: Probabilities


class Client:
    """Asks the server at an address."""

    def __init__(self, address, process=None):
        """`process` is the server's if it has its own."""
        self.address = address
        self.process = process

    @property
    def port(self):
        """Where the server listens."""
        return int(self.address.rpartition(":")[2])

    def get(self, path, **options):
        """What is at a path."""
        return requests.get(f"{self.address}{path}", timeout=60, **options)

    def post(self, path, content, kind=JSON, headers=None):
        """The answer to bytes or pieces of them, or to a dict or list as JSON."""
        body = json.dumps(content) if isinstance(content, (dict, list)) else content
        headers = {"Content-Type": kind, **(headers or {})}
        return requests.post(f"{self.address}{path}", body, headers=headers, timeout=60)

    def predict(self, images):
        """The predictions for images."""
        response = self.post("/predict", images.tobytes(), RAW)
        assert response.status_code == 200, response.text
        return response.json()["predictions"]

    def tensors(self, images):
        """The same as the tensors of the Open Inference Protocol: flat lists by name."""
        rows = self.predict(images)
        return {
            "probabilities": [value for row in rows for value in row["probabilities"]],
            "predicted": [row["predicted"] for row in rows],
            "answers": [name in row["answers"] for row in rows for name in CLASSES],
            "unsure": [row["unsure"] for row in rows],
        }

    def metrics(self):
        """What the server shows to Prometheus, by name with labels."""
        lines = self.get("/metrics").text.splitlines()
        pairs = [line.rsplit(" ", 1) for line in lines if not line.startswith("#")]
        return {name: float(value) for name, value in pairs}


def write(folder, data):
    """Write a package into `folder`; its model compares an image with the mean of each class."""
    network = folder.with_suffix(".onnx")
    flat = data.images.reshape(len(data), -1).astype(np.float32)
    means = np.stack([flat[data.labels == label].mean(axis=0) for label in range(10)])
    onnx.save(linear_model(means.T / 100, -(means**2).sum(axis=1) / 200, (8, 8)), network)
    images = data.images[:200]
    probabilities = _inference.load(network, threads=1).predict(images)
    write_folder(folder, {MODEL: (network, DESCRIPTION)}, "# Card\n", images[:1])
    return Package(folder, DESCRIPTION, images, probabilities)


def altered(package, folder, files):
    """A copy with other files, as if it had been packaged with them."""
    shutil.copytree(package.folder, folder)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / "SHA256SUMS").unlink()
    write_sums(folder)
    return folder


def code(folder):
    """Environment variables with which Python finds the package's code, not the repository's."""
    [wheel] = folder.resolve().glob("*.whl")
    return {"PYTHONPATH": str(wheel)}


@contextmanager
def running(folder, *options, warning=""):
    """The package's server, started as in production; stderr must have this line, or nothing."""
    process = subprocess.Popen(
        [sys.executable, "-m", "imageproof.serve", "--port", "0", *options],
        cwd=folder,
        env=code(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    try:
        address = re.search(r"http://\S+", process.stdout.readline())
        assert address, process.communicate()[1]
        yield Client(address[0], process)
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=60)
    assert errors.rstrip("\n") == warning
    assert process.returncode == 0


@contextmanager
def within(app):
    """The app, served in this process."""
    with served(app) as port:
        yield Client(f"http://127.0.0.1:{port}")
