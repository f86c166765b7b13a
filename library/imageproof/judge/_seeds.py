"""Runs that differ only in the seed: mean and spread of their measures."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np
from scipy.special import stdtrit

from imageproof.judge._figures import column
from imageproof.judge._timing import SHARED_CORES

TIME = "elapsed_s"
MEASURES = [*column("summary")]

# The seed determines which rows a split holds, but not how many.
DETERMINED_BY_SEED = ("seed", "split_md5")
ROWS = ("train_rows", "validation_rows", "test_rows", "holdout_rows")
SURROUNDINGS = ("cpu", "lock_md5")

Recipe = tuple[tuple[str, str], ...]  # sorted


class Spread(NamedTuple):
    """Mean, standard deviation (n - 1), minimum, Student's 95 % interval; None where undefined."""

    n: int
    mean: float | None = None
    sd: float | None = None
    minimum: float | None = None
    low: float | None = None
    high: float | None = None


class Group(NamedTuple):
    """Runs of one recipe: the params, numbers of rows and surroundings that all of them share.

    `label` is the model, and how the group differs from the model's other groups.
    """

    label: str
    recipe: Mapping[str, str]
    seeds: Sequence[str]
    commits: Sequence[str]
    measures: Mapping[str, Spread]

    def as_dict(self) -> dict[str, Any]:
        measures = {name: spread._asdict() for name, spread in self.measures.items()}
        return self._asdict() | {"measures": measures}


def groups(runs: Sequence[Any]) -> list[Group]:
    """Group logged runs, given newest first, that differ only in the seed, or the commit.

    Of several runs with one seed the newest counts. Runs that lack a measure are left out, and so
    are the times of runs that shared their cores.
    """
    by_recipe: dict[Recipe, dict[str, Any]] = defaultdict(dict)
    for run in runs:
        if run.metrics.keys() >= {*MEASURES}:
            by_recipe[_recipe(run)].setdefault(run.params.get("seed", ""), run)
    varying = {
        key
        for recipe, rival in permutations(map(dict, by_recipe), 2)
        for key, value in recipe.items()
        if recipe.get("model") == rival.get("model") and value != rival.get(key)
    }
    return [_group(dict(recipe), seeds, varying) for recipe, seeds in sorted(by_recipe.items())]


def spread(values: Sequence[float]) -> Spread:
    count = len(values)
    minimum = min(values, default=None)
    if count < 2:
        return Spread(count, mean=minimum, minimum=minimum)
    mean = float(np.mean(values))
    deviation = float(np.std(values, ddof=1))
    half = float(stdtrit(count - 1, 0.975)) * deviation / np.sqrt(count)
    return Spread(count, mean, deviation, minimum, mean - half, mean + half)


def _recipe(run: Any) -> Recipe:
    recipe = {key: value for key, value in run.params.items() if key not in DETERMINED_BY_SEED}
    recipe |= {key: f"{run.metrics[key]:.0f}" for key in ROWS if key in run.metrics}
    recipe |= {key: run.tags[key] for key in SURROUNDINGS if key in run.tags}
    return tuple(sorted(recipe.items()))


def _group(
    recipe: dict[str, str],
    seeds: Mapping[str, Any],
    varying: set[str],
) -> Group:
    differences = [f"{key}={value}" for key, value in recipe.items() if key in varying]
    runs = list(seeds.values())
    timed = [run for run in runs if run.metrics.get("shared_cores", 0.0) < SHARED_CORES]
    measures = {}
    for measure in MEASURES:
        values = [run.metrics[measure] for run in (timed if measure == TIME else runs)]
        measures[measure] = spread(values)
    return Group(
        label=" ".join([recipe.get("model", "?"), *differences]),
        recipe=recipe,
        seeds=sorted(seeds, key=lambda seed: (len(seed), seed)),
        commits=list(dict.fromkeys(run.tags.get("git_commit", "unknown") for run in runs)),
        measures=measures,
    )
