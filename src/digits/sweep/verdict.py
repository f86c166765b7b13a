"""What a sweep found, against the defaults, in standard errors; and the command that takes it."""

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from statistics import mean, variance
from typing import Any, NamedTuple


class Verdict(NamedTuple):
    """Validation accuracies of the best settings and of the defaults, one per seed."""

    best: Sequence[float]
    default: Sequence[float]

    @property
    def difference(self) -> float:
        """Mean of the best settings less mean of the defaults."""
        return mean(self.best) - mean(self.default)

    @property
    def standard_error(self) -> float:
        """Of the difference of the two means, with a variance each (Welch 1947)."""
        return math.sqrt(sum(variance(values) / len(values) for values in self))

    @property
    def distance(self) -> float:
        """The difference in standard errors; infinite where the seeds made no difference at all."""
        if self.standard_error:
            return self.difference / self.standard_error
        return math.copysign(math.inf, self.difference) if self.difference else 0.0

    def __str__(self) -> str:
        best, default = mean(self.best), mean(self.default)
        return (
            f"val_accuracy {best:.4f} against {default:.4f} by default: {best - default:+.4f},"
            f" {self.distance:+.1f} standard errors over {len(self.best)} seeds"
        )


def command(model: str, values: Mapping[str, Any]) -> str:
    """The line that trains with these values of `train.<model>`."""
    settings = [
        f"-S {shlex.quote(f'train.{model}.{key}={json.dumps(value)}')}"
        for key, value in values.items()
    ]
    return " ".join(["dvc exp run", *settings])
