"""Importing is fast and changes nothing; pyproject.toml says which module may import what."""

from pathlib import Path

import numpy as np
from helpers import python
from support import SMALL, write_params

EXPENSIVE = {
    *("tensorflow", "keras", "mlflow", "great_expectations", "pandas", "sklearn"),
    *("matplotlib", "scipy", "prefect", "dvc", "onnxruntime"),
}


def loaded(code):
    """The modules that a Python process has loaded after this code."""
    done = python("-c", f"import sys\n{code}\nprint(*sys.modules)")
    assert done.returncode == 0, done.stderr
    return {*done.stdout.splitlines()[-1].split()}


def test_starting_loads_nothing_expensive():
    modules = "digits.project digits.models.cnn digits.stages.train"
    modules += " imageproof.base imageproof.artifacts imageproof.cli.program"
    modules += " imageproof.diff._collect imageproof.diff._render"
    assert loaded(f"import {', '.join(modules.split())}") & EXPENSIVE == set()


def test_a_whole_split_loads_only_pandas_and_dvc(workspace, images_8x8):
    Path("data").mkdir()
    np.savez("data/images.npz", x_train=images_8x8.images, y_train=images_8x8.labels)
    write_params(SMALL)
    code = "from digits.stages import pack, split; pack.main(); split.main()"
    assert loaded(code) & EXPENSIVE == {"pandas", "dvc"}
    assert Path("artifacts/split/train.npz").exists()
