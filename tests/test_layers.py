"""Which module may import what; importing is fast and changes nothing."""

import ast
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from imports import AROUND, FILES, OURS, imports, reachable, within
from PIL import Image
from support import SMALL, python, write_params

from digits.core.dataset import Dataset

if TYPE_CHECKING:
    from digits.registry.versions import Registry

# A room imports only itself and rooms above it.
ROOMS = (
    *("core", "data", "models", "evaluation", "training", "params", "tracking", "registry"),
    *("sweep", "scoring", "serving", "reporting", "stages", "running", "cli"),
    *("flows.support", "flows", "benchmarks"),
)
EXPENSIVE = {
    *("tensorflow", "keras", "mlflow", "great_expectations", "pandas", "sklearn"),
    *("matplotlib", "scipy", "statsmodels", "prefect", "dvc"),
}

# Only these rooms and modules import the library, also inside functions.
OWNERS = {
    "great_expectations": {"digits.data.validation"},
    "mlflow": {
        *("digits.core.guard", "digits.tracking", "digits.registry"),
        "digits.scoring",
    },
    "keras": {"digits.models", "digits.training"},
    "tensorflow": {"digits.models._normalization", "digits.training"},
    "onnx": {"digits.training", "digits.tracking.logged_model"},
    "onnxruntime": {"digits.training.inference", "digits.tracking.logged_model"},
    "prefect": set(),
    "dvc": {
        *("digits.core.checkout", "digits.core.pipeline"),
        *("digits.core.remote", "digits.core.revision"),
    },
    "optuna": {"digits.sweep"},
    "typer": {"digits.cli"},
}


def room(module: str) -> str:
    inner = module.removeprefix("digits.")
    return "flows.support" if within(inner, ["flows.support"]) else inner.split(".")[0]


@pytest.mark.parametrize("module", [name for name in FILES | AROUND if name != "digits"])
def test_a_room_imports_only_rooms_above_it(module: str) -> None:
    allowed = ROOMS[: ROOMS.index(room(module)) + 1]
    ours = {name for name in imports(module) if within(name, OURS)}
    assert {name for name in ours if room(name) not in allowed} == set()


def test_no_stage_imports_another() -> None:
    stages = [name for name in FILES if within(name, ["digits.stages"])]
    assert [m for m in stages if imports(m) & {*stages} - {"digits.stages"}] == []


@pytest.mark.parametrize(
    "module", [m for m, path in (FILES | AROUND).items() if path.stem == "__init__"]
)
def test_an_init_is_one_docstring(module: str) -> None:
    catalogues = {"digits", "digits.models"}
    body = ast.parse((FILES | AROUND)[module].read_text("utf-8")).body
    assert module in catalogues or [type(node) for node in body] == [ast.Expr]


@pytest.mark.parametrize(("library", "owners"), OWNERS.items())
def test_only_its_owners_import_a_library(library: str, owners: set[str]) -> None:
    assert [m for m in FILES if library in imports(m) and not within(m, owners)] == []


@pytest.mark.parametrize(
    ("library", "modules"),
    [
        ("great_expectations", {"digits.data.validation"}),
        ("keras", {"digits.models._normalization", "digits.training"}),
        ("onnxruntime", set()),  # at its import it reads that telemetry is off
        ("optuna", {"digits.sweep"}),
        ("tensorflow", {"digits.models._normalization", "digits.training"}),
    ],
)
def test_a_slow_or_optional_import_happens_only_where_it_is_needed(
    library: str, modules: set[str]
) -> None:
    loaders = [m for m in FILES if library in reachable(m, in_functions=False)]
    assert [m for m in loaders if not within(m, modules)] == []


@pytest.mark.parametrize(
    "module",
    [
        *("digits.params", "digits.core.process", "digits.models"),
        *("digits.core.artifacts", "digits.cli", "digits.data.validation.validate"),
        *("digits.stages.split", "digits.stages.validate", "digits.stages.train"),
        "digits.stages.evaluate",
    ],
)
def test_starting_loads_nothing_expensive(module: str) -> None:
    assert reachable(module, in_functions=False) & EXPENSIVE == set()


def test_a_whole_split_loads_nothing_expensive(workspace: Path, digits_8x8: Dataset) -> None:
    Path("data").mkdir()
    images, labels = digits_8x8.images, digits_8x8.labels.astype(np.uint8)
    np.savez("data/mnist.npz", x_train=images[:1500], y_train=labels[:1500],
             x_test=images[1500:], y_test=labels[1500:])  # fmt: skip
    write_params({**SMALL, "split.method": "official"})
    code = "import sys; from digits.stages import split; split.main(); print(*sys.modules)"
    done = python("-c", code)
    assert done.stderr == ""
    assert Path("artifacts/split/train.npz").exists()
    assert {name.partition(".")[0] for name in done.stdout.split()} & EXPENSIVE == set()


# What only validation, judgement, drawing and export need; each takes up to 4 s to import.
NOT_TO_ANSWER = {
    *("great_expectations", "keras", "matplotlib", "onnx", "scipy.stats", "sklearn"),
    *("statsmodels", "tensorflow"),
}


@pytest.mark.parametrize(
    "command",
    ['cli.predict([Path("new.png")])', 'cli.score("new.npz", "scored.parquet")'],
    ids=["predict", "score"],
)
def test_answering_loads_nothing_that_only_others_need(chain: "Registry", command: str) -> None:
    Image.fromarray(np.zeros((8, 8), np.uint8)).save("new.png")
    np.savez("new.npz", images=np.zeros((4, 8, 8), np.uint8))
    code = f"""
import sys
from pathlib import Path
from digits import cli
from digits.core import process
process.set_environment()
{command}
print(*sys.modules)
"""
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    assert {*done.stdout.splitlines()[-1].split()} & NOT_TO_ANSWER == set()


IMPORT_ALL = """
import json, logging, os, sys
from importlib import import_module
from pathlib import Path

def handlers():
    return {name: len(getattr(logger, "handlers", [])) for name, logger in
            [("", logging.getLogger()), *logging.Logger.manager.loggerDict.items()]}

for library in sys.argv[1].split(","):  # what these libraries do is not ours
    import_module(library)
before = handlers(), dict(os.environ), sorted(map(str, Path().rglob("*")))
for module in sys.argv[2].split(","):
    import_module(module)
import mlflow
after = handlers(), dict(os.environ), sorted(map(str, Path().rglob("*")))
changed = {name: n for name, n in after[0].items() if n != before[0].get(name, 0)}
print(json.dumps({
    "handlers": {name: n for name, n in changed.items() if name.startswith("digits") or not name},
    "environment": before[1] == after[1],
    "files": [path for path in after[2] if path not in before[2]],
    "uri": mlflow.is_tracking_uri_set(),
}))
"""


@pytest.mark.slow
def test_importing_makes_no_file_sets_no_uri_and_installs_no_handler(workspace: Path) -> None:
    libraries = sorted(EXPENSIVE - {"prefect", "dvc"})
    done = python("-c", IMPORT_ALL, ",".join(libraries), ",".join(FILES))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "handlers": {},
        "environment": True,
        "files": [],
        "uri": False,
    }
