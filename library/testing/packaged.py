"""A package with a small model of real glyphs, and its server."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from helpers import linear_model

from imageproof.base import inference
from imageproof.base.dataset import Dataset, Images, Probabilities
from imageproof.serve.model import Confidence, Description
from imageproof.serve.package import write_folder

THRESHOLD = 0.2


class Package(NamedTuple):
    """A package, and what its model answers to the images."""

    folder: Path
    description: Description
    images: Images
    probabilities: Probabilities

    @property
    def names(self) -> list[str]:
        """The classes' names."""
        return self.description.class_names


class Running(NamedTuple):
    """A package's server."""

    address: str
    process: "subprocess.Popen[str]"

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.address.rpartition(":")[2])


def write(folder: Path, data: Dataset) -> Package:
    """Write a package into `folder`; its model compares an image with the mean of each class."""
    network = folder.with_suffix(".onnx")
    flat = data.images.reshape(len(data), -1).astype(np.float32)
    means = np.stack([flat[data.labels == label].mean(axis=0) for label in range(10)])
    onnx.save(linear_model(means.T / 100, -(means**2).sum(axis=1) / 200, (8, 8)), network)
    description = Description(
        name="imageproof",
        version="7",
        model_sha256="5" * 64,
        shape=(8, 8),
        class_names=["null", "eins", "zwei", "drei", *"456789"],
        fit="stretch",
        confidence=Confidence(coverage=0.99, threshold=THRESHOLD),
    )
    images = data.images[:200]
    probabilities = inference.load(network, threads=1).predict(images)
    write_folder(folder, network, description, "# Card\n", images[:1])
    return Package(folder, description, images, probabilities)


def code(folder: Path) -> dict[str, str]:
    """Environment variables with which Python finds the package's code, not the repository's."""
    [wheel] = folder.resolve().glob("*.whl")
    return {"PYTHONPATH": str(wheel)}


@contextmanager
def running(folder: Path, *options: str, **environment: str) -> Iterator[Running]:
    """The package's server, started as in production; it must end with nothing on stderr."""
    process = subprocess.Popen(
        [sys.executable, "-m", "imageproof.serve", "--port", "0", *options],
        cwd=folder,
        env={**code(folder), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    try:
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found, process.communicate()[1]
        yield Running(found[0], process)
    finally:
        process.terminate()
        _, said = process.communicate(timeout=60)
    assert not said, said
    assert process.returncode == 0
