"""Whoever asks a model imports neither TensorFlow nor Keras; a real MLflow server answers, too."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import requests
from arena import EVEN, NAME, accept, fighter
from PIL import Image
from support import SMALL, forbid_tensorflow, python, until, write_params

from digits.core.artifacts import read_split
from digits.registry import promotion

COMMANDS = """
from pathlib import Path
from digits import cli, cli_registry, params
from digits.core import process
from digits.scoring.demo import players
from digits.tracking import store

process.set_environment()
store.connect()
cli.predict([Path("seven.png")])
cli.score("new.npz", "scored.parquet")
cli_registry.promote(run="RUN", dry_run=True)
assert len(players("digits", threads=2)) == 2
"""

EVALUATION = """
from digits.core import process
from digits.stages import compare, evaluate
from digits.tracking.restore import restore_all

process.set_environment()
restore_all()
evaluate.main("mlp")
compare.main()
"""


@pytest.fixture
def champion(ring: Path) -> str:
    write_params({**SMALL, "promote.max_latency_ms": 10_000})
    for falls_for in (EVEN,), ():
        promotion.promote(fighter(*falls_for), NAME, judge=accept)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save("seven.png")
    np.savez("new.npz", images=read_split("holdout").data.images[:4])
    return f"models:/{NAME}@champion"


def run_without(code: str) -> None:
    done = python("-c", code, env=os.environ | forbid_tensorflow(Path("forbidden")))
    assert done.returncode == 0, done.stderr


def test_registered_models_are_asked_and_judged_without_it(champion: str) -> None:
    run_without(COMMANDS.replace("RUN", fighter().run_id))


def test_trained_models_are_logged_evaluated_and_compared_without_it(
    tracked: Path, trained_project: Path
) -> None:
    for part in ("artifacts", "params.yaml", "dvc.lock"):
        copy = shutil.copytree if part == "artifacts" else shutil.copy
        copy(trained_project / part, part)
    run_without(EVALUATION)


@pytest.mark.slow
def test_mlflow_serves_it_without_it(champion: str, tmp_path: Path) -> None:
    holdout = read_split("holdout").data
    with mlflow_server(champion, tmp_path) as address:
        for key in ("inputs", "instances"):
            asked = {key: holdout.images[:5].tolist()}
            answer = requests.post(address, json=asked, timeout=60).json()
            found = np.array(answer["predictions"]["probabilities"])
            assert found.argmax(axis=1).tolist() == holdout.labels[:5].tolist()
        wrong = requests.post(address, json={"inputs": [[[0]]]}, timeout=60)
        assert wrong.status_code == 400


@contextmanager
def mlflow_server(uri: str, folder: Path) -> Iterator[str]:
    """Where `mlflow models serve` answers, in a process that ends if it imports TensorFlow."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["mlflow", "models", "serve", "-m", uri, "--env-manager", "local", "-p", str(port)]
    environment = {
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        **forbid_tensorflow(folder / "forbidden"),
    }
    log = folder / "server.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", *command],
            env=os.environ | environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        ready = f"http://127.0.0.1:{port}/ping"
        assert until(lambda: _is_ready(ready), seconds=120), log.read_text()
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)


def _is_ready(address: str) -> bool:
    with suppress(requests.ConnectionError):
        return requests.get(address, timeout=5).ok
    return False
