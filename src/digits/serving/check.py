"""Ask the server of a package before it is delivered: does it answer as the model does?"""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import requests

from digits.core.dataset import Images, Probabilities
from digits.core.errors import IntegrityError
from digits.serving.limits import MAX_BODY

TOLERANCE = 1e-5  # of a probability
TIMEOUT_S = 60
MOST = 100  # images of a request
PIXEL = 5  # bytes of a pixel in JSON, at most


def largest_difference(folder: Path, images: Images, expected: Probabilities) -> float:
    """The largest difference of a probability between the package in `folder` and `expected`.

    The images go as JSON to the package's own server, a process that loads its code and files.

    Raises:
        IntegrityError: the server does not start, or answers otherwise: with another class, or
            with a probability that differs by more than TOLERANCE.
    """
    with _running(folder) as address, requests.Session() as session:
        session.trust_env = False  # no proxy between this machine and itself
        size = fitting(images, MOST)
        starts = range(0, len(images), size)
        rows = [_ask(session, address, images[start : start + size]) for start in starts]
    actual = np.concatenate(rows)
    difference = float(np.abs(actual - expected).max())
    others = int((actual.argmax(axis=1) != expected.argmax(axis=1)).sum())
    if others or difference > TOLERANCE:
        raise IntegrityError(
            f"package: of {len(images):,} hold-out rows {others} get another class than from the "
            f"model, probabilities differ by up to {difference:.1e}; nothing was written"
        )
    return difference


def fitting(images: Images, most: int) -> int:
    """How many of the images, at least one and at most `most`, fit into a request as JSON."""
    return min(most, max(1, MAX_BODY // (PIXEL * int(images[0].size))))


def _ask(session: requests.Session, address: str, images: Images) -> Probabilities:
    request = {"inputs": images.tolist()}
    response = session.post(f"{address}/predict", json=request, timeout=TIMEOUT_S)
    if response.status_code != 200:
        raise IntegrityError(f"package: its server answers {response.text[:200]}")
    predictions = response.json()["predictions"]
    return np.array([each["probabilities"] for each in predictions], np.float32)


@contextmanager
def _running(folder: Path) -> Iterator[str]:
    """The address of the package's server, which runs within the block."""
    server = subprocess.Popen(
        [sys.executable, "-B", "-m", "digits.serving", "--port", "0"],  # -B: writes no bytecode
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stdout
    assert server.stderr
    try:
        address = re.search(r"http://\S+", server.stdout.readline())
        if address is None:
            raise IntegrityError(f"package: its server does not start: {server.stderr.read()}")
        yield address[0]
    finally:
        server.terminate()
        server.communicate(timeout=TIMEOUT_S)
