"""What a project tells the library of itself: its name and blocks of params.yaml."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from imageproof.base.dataset import DataParams
from imageproof.data.findings import ExpectedRange
from imageproof.judge.confidence import ConfidenceParams
from imageproof.judge.drift import DriftParams
from imageproof.judge.gate import PromoteParams


@dataclass(frozen=True, kw_only=True)
class Project:
    """Blocks of params.yaml.

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
    expected_ranges: Sequence[ExpectedRange]
    logged_as: Mapping[str, str]

    def part(self, part: str) -> str:
        """The name of a further experiment, such as `shoes-sweeps`."""
        return f"{self.name}-{part}"
