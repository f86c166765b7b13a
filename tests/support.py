"""Helpers of the project's tests that are no fixtures."""

import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from helpers import dump_params, with_changes, write_splits
from ruamel.yaml import YAML
from small_project import run

from digits.params import check
from digits.project import application, as_project

REPOSITORY = Path(__file__).parents[1]
PARAMS_YAML = REPOSITORY / "params.yaml"
PARAMS: dict[str, Any] = YAML(typ="safe").load(PARAMS_YAML)
# the tests have images of their own, whatever the project's are
PARAMS["data"] |= {"percent": 100, "classes": 10, "class_names": None}
PARAMS["split"]["group"] = None
PARAMS["data"]["image"] = {"size": "auto", "channels": "auto", "fit": "digit"}
NAME: str = PARAMS["project"]["name"]
DVC_YAML: dict[str, Any] = YAML(typ="safe").load((REPOSITORY / "dvc.yaml").read_text("utf-8"))
PIPELINE: dict[str, Any] = DVC_YAML["stages"]

# Models that train in a second.
SMALL = {
    "models": ["mlp"],
    "split.method": "stratified",
    "validate.min_rows": 100,
    "train.mlp.build.units": [16, 12, 8],
    "train.mlp.build.dropout": [0.1, 0.1, 0.1],
    "train.mlp.fit": {"epochs": 2, "batch_size": 100},
    "train.cnn.build": {"filters": [4, 4], "dense": 8, "dropout": [0.1, 0.1]},
    "train.cnn.fit": {"epochs": 2, "batch_size": 100},
    "train.compact.build.filters": [4, 4, 4, 4],
    "train.compact.fit.epochs": 2,
    "train.finetune.build.side": 32,
    "train.finetune.build.weights": None,
    "train.finetune.fit": {"epochs": 1, "batch_size": 100},
    "train.finetune.fine_tune": None,
    "promote.min_unseen": 50,
}


def context():
    """What Typer gives to a command of this project."""
    return SimpleNamespace(obj=application())


def changed(changes):
    """The values of params.yaml, with dotted keys set to other values."""
    return with_changes(PARAMS, changes)


def project_with(changes):
    """The project of params.yaml with such changes."""
    return as_project(check(changed(changes)))


def write_params(changes):
    """Write params.yaml into the current folder: the repository's, with other values; and gx/."""
    shutil.copytree(REPOSITORY / "gx", "gx", dirs_exist_ok=True)
    dump_params(changed(changes))


def write_project(data):
    """Write params.yaml with small models, and the data split by it, into the current folder."""
    write_params(SMALL)
    params = check(changed(SMALL))
    write_splits(data, params.split, params.seed)


def quoted(page, pattern):
    """The only text of a page of docs/how-to/ that a pattern has as its group."""
    text = (REPOSITORY / "docs/how-to" / page).read_text("utf-8")
    [match] = re.findall(pattern, text, re.S | re.M)
    return match


# The files that environment.sh compares.
STAMPED = ("requirements.lock", "pyproject.toml", "library/pyproject.toml")


def link_environment(clone):
    """Make the environment of the tests the clone's own, so that `make` need not install one."""
    (clone / ".venv").mkdir()
    for entry in Path(sys.prefix).iterdir():
        if entry.name != ".done":
            (clone / ".venv" / entry.name).symlink_to(entry)
    # as environment.sh writes it
    stamp = f'echo "$(pwd -P) $(cat {" ".join(STAMPED)} | cksum)" >.venv/.done'
    run("sh", "-c", stamp, cwd=clone)
