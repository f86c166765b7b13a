"""Whoever asks a model imports neither TensorFlow nor Keras, nor what only others need."""

import os
import shutil
from pathlib import Path

import numpy as np
from arena import fighter
from helpers import python
from PIL import Image
from support import SMALL, write_params

from imageproof.artifacts import WORKSPACE

# What only validation, judgement, drawing and export need takes up to 4 s to import.
COMMANDS = """
import sys
from pathlib import Path
from types import SimpleNamespace
from digits.project import application
from imageproof.cli import _answers, _results
from imageproof.system import _process
from imageproof.answer._demo import players

_process.set_environment()
context = SimpleNamespace(obj=application())
_answers.predict(context, [Path("seven.png")])
assert "scipy.stats" not in sys.modules
_answers.score(context, "new.npz", "scored.parquet")
others = {"great_expectations", "matplotlib", "onnx", "sklearn"}
assert not others & sys.modules.keys(), others & sys.modules.keys()
_results.promote(context, run="RUN", dry_run=True)
assert len(players("digits", threads=2)) == 2
"""
EVALUATION = """
from digits.project import load_project
from imageproof.system import _process
from digits.stages import compare, evaluate
from imageproof.mlflow.restore import restore_all

_process.set_environment()
restore_all(load_project())
evaluate.main("mlp")
compare.main()
"""


def run_without(code):
    """Run it in a process that ends with 99 where it imports TensorFlow or Keras."""
    folder = Path("forbidden")
    folder.mkdir()
    for name in ("tensorflow", "keras"):
        (folder / f"{name}.py").write_text("import os\nos._exit(99)\n", "utf-8")
    done = python("-c", code, env=os.environ | {"PYTHONPATH": str(folder)})
    assert done.returncode == 0, done.stderr


def test_registered_models_are_asked_and_judged_without_it(chain):
    write_params({**SMALL, "promote.max_latency_ms": 10_000})
    Image.fromarray(np.zeros((8, 8), np.uint8)).save("seven.png")
    np.savez("new.npz", images=WORKSPACE.read_split("holdout").data.images[:4])
    run_without(COMMANDS.replace("RUN", fighter().run_id))


def test_trained_models_are_evaluated_without_it(tracked, trained_project):
    for part in ("artifacts", "params.yaml", "dvc.lock"):
        copy = shutil.copytree if part == "artifacts" else shutil.copy
        copy(trained_project / part, part)
    run_without(EVALUATION)
