"""What the library is told of this project, and the command `digits`."""

from typing import Any

from digits import params
from digits.params import Params
from digits.training.trainer import trainer
from imageproof.judge import gate
from imageproof.project import Application, Project

# Checks of yours beside those of the gate, each with its limit.
CHECKS: list[tuple[gate.Rule, Any]] = []


def load_project() -> Project:
    """The project in the current folder; raises as `params.load`."""
    return as_project(params.load())


def as_project(params: Params) -> Project:
    """What the library is told of the project with these params."""
    return Project(
        name=params.project.name,
        models=params.models,
        seed=params.seed,
        threads=params.train.threads,
        data=params.data.model_copy(update={"class_names": params.class_names()}),
        confidence=params.confidence,
        promote=params.promote,
        drift=params.drift,
        checks=CHECKS,
    )


def application() -> Application:
    """What the command line is told of this project; see `imageproof.project.Application`."""
    return Application(
        load=load_project,
        trainer=lambda model: trainer(params.load(), model),
        simple_models=["mlp", "cnn"],
        general_models=["compact", "features"],
    )


def main() -> None:
    """The command `digits`."""
    from imageproof.cli import program

    program.cli(application())
