"""Whoever asks a model imports neither TensorFlow nor Keras."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from arena import EVEN, NAME, accept, fighter
from PIL import Image
from support import SMALL, forbid_tensorflow, python, write_params

from digits.artifacts import read_split
from digits.toolkit.registry import promotion

COMMANDS = """
from pathlib import Path
from digits import cli, cli_results, params
from digits.toolkit import process
from digits.demo import players
from digits.toolkit.tracking import store

process.set_environment()
store.connect()
cli.predict([Path("seven.png")])
cli.score("new.npz", "scored.parquet")
cli_results.promote(run="RUN", dry_run=True)
assert len(players("digits", threads=2)) == 2
"""

EVALUATION = """
from digits.toolkit import process
from digits.stages import compare, evaluate
from digits.toolkit.tracking.restore import restore_all

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
