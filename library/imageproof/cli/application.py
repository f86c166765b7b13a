"""What the command line is told of a project."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imageproof.judge.suspects import Ask
    from imageproof.project import Project


@dataclass(frozen=True, kw_only=True)
class Application:
    """A project as its command sees it. Each function is called when a command needs it.

    `load` reads and checks params.yaml; a UsageError has a line per fault. `networks` names all
    models that the project can build. `check_model` raises a UsageError for a model without a
    block in params.yaml. `trainer` takes a model's name, and gives a function that trains it on
    some images and asks it for others. `commands` are functions of the project, as Typer takes
    them; each becomes a command of that name. `suspects` judges labels by the first of the
    `doubting_models` that the project trains, otherwise by the last of them. `simple_models` suit
    small images of one light thing on black, `general_models` any images.
    """

    load: "Callable[[], Project]"
    networks: Callable[[], Collection[str]]
    check_model: Callable[[str], object]
    trainer: "Callable[[str], Ask]"
    commands: Sequence[Callable[..., None]] = ()
    doubting_models: Sequence[str] = ()
    simple_models: Sequence[str] = ()
    general_models: Sequence[str] = ()
