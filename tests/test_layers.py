"""Importing is fast and changes nothing; pyproject.toml says which module may import what."""

import json
from pathlib import Path

import numpy as np
import pytest
from helpers import python
from support import REPOSITORY, SMALL, write_params

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


IMPORT_ALL = """
import json, logging, os, sys
from importlib import import_module
from pathlib import Path

def state():
    loggers = {"": logging.getLogger(), **logging.Logger.manager.loggerDict}
    packages = ("digits", "imageproof")
    ours = {name: log for name, log in loggers.items() if not name or name.startswith(packages)}
    handlers = {name: len(getattr(log, "handlers", [])) for name, log in ours.items()}
    return handlers, dict(os.environ), sorted(map(str, Path().rglob("*")))

# what these do is not ours
import keras, great_expectations, matplotlib.pyplot, mlflow, prefect.main
before = state()
for module in sys.argv[1].split(","):
    import_module(module)
after = state()
changed = {name for name, count in after[0].items() if count != before[0].get(name, 0)}
print(json.dumps([sorted(changed), before[1:] == after[1:], mlflow.is_tracking_uri_set()]))
"""


@pytest.mark.slow
def test_importing_makes_no_file_sets_no_uri_and_installs_no_handler(workspace):
    files = [
        file.relative_to(REPOSITORY / folder).with_suffix("").parts
        for folder in ("src", "library")
        for file in (REPOSITORY / folder).glob("[di]*/**/*.py")
    ]
    modules = {
        ".".join(parts) for parts in files if not {"template", "__main__", "__init__"} & {*parts}
    }
    done = python("-c", IMPORT_ALL, ",".join(sorted(modules)))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [[], True, False]
