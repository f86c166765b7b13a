"""Importing is fast and changes nothing; pyproject.toml says which module may import what."""

import json
from pathlib import Path

import numpy as np
import pytest
from support import REPOSITORY, SMALL, python, write_params

import imageproof as toolkit
from imageproof.base.dataset import Dataset

EXPENSIVE = {
    *("tensorflow", "keras", "mlflow", "great_expectations", "pandas", "sklearn"),
    *("matplotlib", "scipy", "prefect", "dvc"),
}


def loaded(code: str) -> set[str]:
    """The modules that a Python process has loaded after this code."""
    done = python("-c", f"import sys\n{code}\nprint(*sys.modules)")
    assert done.returncode == 0, done.stderr
    return {*done.stdout.splitlines()[-1].split()}


@pytest.mark.parametrize(
    "module",
    ["cli", "params", "models.cnn", "artifacts", "stages.split", "stages.train"],
)
def test_starting_loads_nothing_expensive(module: str) -> None:
    assert loaded(f"import digits.{module}") & EXPENSIVE == set()


@pytest.mark.parametrize(
    ("module", "others"),
    [
        ("digits.training.fit", ["imageproof.keras.optimizers"]),
        ("imageproof.judge.comparison", []),
    ],
)
def test_no_other_module_comes_along(module: str, others: list[str]) -> None:
    ours = {name for name in loaded(f"import {module}") if name.startswith("digits")}
    assert [name for name in ours if not module.startswith(name)] == others  # its packages may


def test_a_whole_split_loads_nothing_expensive(workspace: Path, digits_8x8: Dataset) -> None:
    Path("data").mkdir()
    np.savez("data/images.npz", x_train=digits_8x8.images, y_train=digits_8x8.labels)
    write_params(SMALL)
    code = "from digits.stages import pack, split; pack.main(); split.main()"
    assert loaded(code) & EXPENSIVE == {"pandas"}
    assert Path("artifacts/split/train.npz").exists()


def test_toolkit_has_a_small_public_face() -> None:
    assert len(toolkit.__all__) <= 25
    assert all(getattr(toolkit, name).__name__ == name for name in toolkit.__all__)


IMPORT_ALL = """
import json, logging, os, sys
from importlib import import_module
from pathlib import Path

def state():
    loggers = {"": logging.getLogger(), **logging.Logger.manager.loggerDict}
    ours = {name: log for name, log in loggers.items() if not name or name.startswith("digits")}
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
def test_importing_makes_no_file_sets_no_uri_and_installs_no_handler(workspace: Path) -> None:
    source = REPOSITORY / "src"
    files = [file.relative_to(source).with_suffix("") for file in source.rglob("[!_]*.py")]
    modules = [".".join(file.parts) for file in files if "template" not in file.parts]
    done = python("-c", IMPORT_ALL, ",".join(sorted(modules)))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [[], True, False]
