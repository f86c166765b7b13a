"""Runs that differ only in the seed: mean and spread of their measures."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np
from scipy.special import stdtrit

from imageproof.judge.figures import column
from imageproof.judge.timing import SHARED_CORES

TIME = "elapsed_s"
MEASURES = [*column("summary")]

# The seed determines which rows a split holds, but not how many.
DETERMINED_BY_SEED = ("seed", "split_md5")
ROWS = ("train_rows", "validation_rows", "test_rows", "holdout_rows")
SURROUNDINGS = ("cpu", "lock_md5")


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


def groups(runs: Sequence[Any]) -> list[Group]:
    """Group logged runs, given newest first, that differ only in the seed, or the commit.

    Of several runs with one seed the newest counts. Runs that lack a measure are left out, and so
    are the times of runs that shared their cores.
    """
    by_recipe: dict[tuple[tuple[str, str], ...], dict[str, Any]] = defaultdict(dict)
    for run in runs:
        if all(measure in run.metrics for measure in MEASURES):
            recipe = {k: value for k, value in run.params.items() if k not in DETERMINED_BY_SEED}
            recipe |= {key: f"{run.metrics[key]:.0f}" for key in ROWS if key in run.metrics}
            recipe |= {key: run.tags[key] for key in SURROUNDINGS if key in run.tags}
            by_recipe[tuple(sorted(recipe.items()))].setdefault(run.params.get("seed", ""), run)
    varying = {
        key
        for recipe, other in permutations(map(dict, by_recipe), 2)
        for key, value in recipe.items()
        if recipe.get("model") == other.get("model") and value != other.get(key)
    }
    return [_group(dict(recipe), seeds, varying) for recipe, seeds in sorted(by_recipe.items())]


def spread(values: Sequence[float]) -> Spread:
    n, only = len(values), min(values, default=None)
    if n < 2:
        return Spread(n, mean=only, minimum=only)
    mean, sd = float(np.mean(values)), float(np.std(values, ddof=1))
    half = float(stdtrit(n - 1, 0.975)) * sd / np.sqrt(n)
    return Spread(n, mean, sd, min(values), mean - half, mean + half)


def _group(recipe: dict[str, str], seeds: Mapping[str, Any], varying: set[str]) -> Group:
    apart = [f"{key}={value}" for key, value in recipe.items() if key in varying]
    runs = list(seeds.values())
    timed = [run for run in runs if run.metrics.get("shared_cores", 0.0) < SHARED_CORES]
    values = {m: [run.metrics[m] for run in (timed if m == TIME else runs)] for m in MEASURES}
    return Group(
        label=" ".join([recipe.get("model", "?"), *apart]),
        recipe=recipe,
        seeds=sorted(seeds, key=lambda seed: (len(seed), seed)),
        commits=list(dict.fromkeys(run.tags.get("git_commit", "unknown") for run in runs)),
        measures={measure: spread(values[measure]) for measure in MEASURES},
    )
