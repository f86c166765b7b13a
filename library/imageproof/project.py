"""What a project tells the library of itself, and its command line."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imageproof.base._dataset import DataParams
from imageproof.judge.confidence import ConfidenceParams
from imageproof.judge.drift import DriftParams
from imageproof.judge.gate import Rule
from imageproof.judge.limits import PromoteParams

if TYPE_CHECKING:
    from imageproof.judge.suspects import Ask


@dataclass(frozen=True, kw_only=True)
class Project:
    """Blocks of params.yaml.

    `checks` are the project's own of the gate, with their limits: see `registry._decision.decide`.
    """

    name: str  # of experiments, registered model and deployments
    models: Sequence[str]
    seed: int
    threads: int
    data: DataParams
    confidence: ConfidenceParams
    promote: PromoteParams
    drift: DriftParams
    checks: Sequence[tuple[Rule, Any]] = ()

    @property
    def class_names(self) -> list[str]:
        """One name per class, of params.yaml or of the packed data."""
        return self.data.class_names or []

    def part(self, part: str) -> str:
        """The name of a further experiment, such as `shoes-sweeps`."""
        return f"{self.name}-{part}"


@dataclass(frozen=True, kw_only=True)
class Application:
    """A project as its command sees it. Each function is called when a command needs it.

    `load` reads and checks params.yaml; a UsageError has a line per fault. `trainer` takes a
    model's name, and gives a function that trains it on some images and asks it for others; a
    UsageError if the model has no block in params.yaml. `commands` are functions of the project, as
    Typer takes them; each becomes a command of that name. `simple_models` suit small images of one
    light thing on black, `general_models` any images. `suspects` judges labels by the last of the
    general models that the project trains, otherwise by the first of them.
    """

    load: Callable[[], Project]
    trainer: "Callable[[str], Ask]"
    commands: Sequence[Callable[..., None]] = ()
    simple_models: Sequence[str] = ()
    general_models: Sequence[str] = ()
