"""A project that knows nothing but the library: its params.yaml, and its command."""

from pathlib import Path
from types import SimpleNamespace

from helpers import dump_params, with_changes, write_splits

from imageproof.artifacts import WORKSPACE
from imageproof.base._dataset import DataParams
from imageproof.base._naming import DEFAULT
from imageproof.base.errors import UsageError
from imageproof.base.files import read_yaml
from imageproof.data.split_params import SplitParams
from imageproof.dvc.params_yaml import read
from imageproof.judge.confidence import ConfidenceParams
from imageproof.judge.drift import DriftParams
from imageproof.judge.limits import PromoteParams
from imageproof.project import Application, Project

NAME = DEFAULT
EXAMPLE = Path(__file__)  # python FILE is its command
PARAMS_YAML = EXAMPLE.with_name("params.yaml")
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
        logged_as={"seed": "seed", "classes": "data.classes", "threads": "train.threads"},
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


def check_model(model):
    """Refuse a model that has no block in params.yaml."""
    if model not in read()["train"]:
        raise UsageError(f"params.yaml models: {model!r} has no block train.{model}")


def application():
    """What the command line is told of this project."""
    return Application(
        load=load_project,
        trainer=check_model,  # nothing that the library's tests ask for is trained
    )


def context():
    """What Typer gives to a command of this project."""
    return SimpleNamespace(obj=application())


def main():
    """The command of this project."""
    from imageproof.cli.program import cli

    cli(application())


if __name__ == "__main__":
    main()
