"""What a project tells the library of itself: its name, blocks of params.yaml, where files lie."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imageproof.base.dataset import DataParams, Rows, Split, load_split
from imageproof.base.errors import DataError
from imageproof.base.files import ANEW, read_json
from imageproof.base.findings import Usual
from imageproof.judge.confidence import ConfidenceParams
from imageproof.judge.drift import DriftParams
from imageproof.judge.gate import PromoteParams
from imageproof.outputs import EvaluateOutputs, TrainOutputs

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where the stages write; paths start at the project's folder.

    `trained` and `evaluated` take a model's name, and the project's folder if it is another one;
    `metadata` takes `Split.rows` and this folder, and gives the columns that `packed_rows` has of
    them beside image and label, as text.
    """

    split: Callable[[str], Path]
    split_summary: Path
    validation: Path
    packed_rows: Path
    metadata: "Callable[[Rows, Path], pd.DataFrame]"
    trained: Callable[..., TrainOutputs]
    evaluated: Callable[..., EvaluateOutputs]

    def read_split(self, name: str, *, classes: int | None = None) -> Split:
        """One split; a DataError if it is missing or damaged, or a label is not below `classes`."""
        path = self.split(name)
        split = load_split(path)
        if classes and (highest := split.data.labels.max()) >= classes:
            raise DataError(f"{path}: has label {highest}, params.yaml {classes} classes; {ANEW}")
        return split

    def read_split_summary(self) -> dict[str, Any]:
        """`rows` per split, `copies` of training rows per split, `sources`: parts of the data."""
        return read_json(self.split_summary, dict[str, Any], keys=("rows", "copies", "sources"))


@dataclass(frozen=True, kw_only=True)
class Project(Layout):
    """A layout, and blocks of params.yaml.

    `logged_as` gives the keys in params.yaml of a run's params that no block of a model has.
    """

    name: str  # of experiments, registered model, deployments and events
    models: Sequence[str]
    seed: int
    threads: int
    system_metrics: bool
    data: DataParams
    confidence: ConfidenceParams
    promote: PromoteParams
    drift: DriftParams
    usual: Sequence[Usual]
    logged_as: Mapping[str, str]

    def part(self, part: str) -> str:
        """The name of a further experiment, such as `shoes-sweeps`."""
        return f"{self.name}-{part}"
