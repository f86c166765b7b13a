"""The whole pipeline against the sum of its fits, and what a run without any change costs."""

from statistics import median
from typing import Any

from benchmarks.workspace import Workspace


def measure(workspace: Workspace, *, models: list[str]) -> dict[str, Any]:
    """Seconds of `dvc repro -f`, of its fits, and of `dvc repro` with nothing to do."""
    wall_s = workspace.run("dvc", "repro", "-f").wall_s
    fits_s = sum(workspace.fit_s(model) for model in models)
    unchanged = [workspace.run("dvc", "repro", "-q").wall_s for _ in range(3)]
    return {
        "models": models,
        "wall_s": wall_s,
        "fits_s": fits_s,
        "beyond_fits_s": wall_s - fits_s,
        "unchanged_s": median(unchanged),
    }
