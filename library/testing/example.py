"""A project that knows nothing but the library: its params.yaml, and what its commands get."""

from pathlib import Path
from types import SimpleNamespace

from helpers import dump_params, with_changes, write_splits

from imageproof.artifacts import WORKSPACE
from imageproof.base._dataset import DataParams
from imageproof.base._naming import DEFAULT
from imageproof.base.files import read_yaml
from imageproof.data.split_params import SplitParams
from imageproof.dvc.params_yaml import read
from imageproof.judge.confidence import ConfidenceParams
from imageproof.judge.drift import DriftParams
from imageproof.judge.limits import PromoteParams
from imageproof.project import Application, Project

NAME = DEFAULT
PARAMS_YAML = Path(__file__).with_name("params.yaml")
PARAMS = read_yaml(PARAMS_YAML)


def as_project(values):
    """The project of such values."""
    data = DataParams(**values["data"])
    names = WORKSPACE.class_names(data.classes, data.class_names)
    return Project(
        name=values["project"]["name"],
        models=values["models"],
        seed=values["seed"],
        threads=values["train"]["threads"],
        data=data.model_copy(update={"class_names": names}),
        confidence=ConfidenceParams(**values["confidence"]),
        promote=PromoteParams(**values["promote"]),
        drift=DriftParams(**values["drift"]),
    )


def load_project():
    """The project in the current folder."""
    return as_project(read())


def changed(changes):
    """The values of params.yaml, with dotted keys set to other values."""
    return with_changes(PARAMS, changes)


def project_with(changes):
    """The project of params.yaml with such changes."""
    return as_project(changed(changes))


def write_params(changes):
    """Write params.yaml into the current folder, with other values."""
    dump_params(changed(changes))


def write_project(data):
    """Write params.yaml, and the data split by it, into the current folder."""
    write_params({})
    write_splits(data, SplitParams(**PARAMS["split"]), PARAMS["seed"])


def context():
    """What Typer gives to a command of this project, which trains nothing."""
    return SimpleNamespace(obj=Application(load=load_project, trainer=print))
