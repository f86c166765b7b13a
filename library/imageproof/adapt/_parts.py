"""How many rows the parts of the split will have."""

from collections.abc import MutableMapping, Sequence
from math import ceil, floor
from typing import Any

import numpy as np
from scipy.stats import binom

from imageproof.adapt._facts import Facts
from imageproof.data import _drawing
from imageproof.data.split_params import SplitParams
from imageproof.dvc.params_yaml import validated

Params = MutableMapping[str, Any]  # the content of params.yaml

CHANCE = 0.05  # that a hashed part has fewer rows of any class than it is taken to have


def official_has_all_classes(facts: Facts, params: Params) -> bool:
    """Whether each part of the split `official` gets rows of each class."""
    split = validated(SplitParams, dict(params["split"]), "split")
    labels = np.repeat(np.arange(len(facts.counts)), facts.divided)
    rows = _drawing.sample(labels, np.arange(len(labels)), params["data"]["percent"], 0)
    parts = _drawing.official(labels, rows, split.official, np.random.default_rng(0))
    return all(len(np.unique(labels[part])) == len(facts.counts) for part in parts.values())


def empty_parts(facts: Facts, params: Params) -> list[str]:
    """The parts that may get nothing of the data, or of a class that they need."""
    split = validated(SplitParams, dict(params["split"]), "split")
    if split.method == "official":  # it has been tried
        return []
    judging = [sum(facts.divided)] if split.method == "hashed" else facts.divided
    counts = {"train": facts.divided, "validation": judging, "test": judging, "holdout": judging}
    return [part for part in counts if not min(part_rows(counts[part], facts, params, part))]


def whole_part(facts: Facts, params: Params, part: str) -> int:
    """How many rows a part will have."""
    divided = sum(facts.divided)
    [rows] = part_rows([divided], facts, params, part)
    if part == "train":
        rows += floor((sum(facts.counts) - divided) * params["data"]["percent"] / 100)
    return rows


def part_rows(counts: Sequence[int], facts: Facts, params: Params, part: str) -> list[int]:
    """How many of so many rows of each class a part will have.

    Where rows or groups are hashed, all classes have as many with a chance of 95 %.
    """
    split = validated(SplitParams, dict(params["split"]), "split")
    shares = split.shares()
    share = 1 - sum(shares.values()) if part == "train" else shares[part]
    share *= params["data"]["percent"] / 100
    if split.method != "hashed":
        return [floor(count * share) for count in counts]
    size = facts.rows_per_group(split.group)
    chance = CHANCE / len(counts)
    return [int(size * binom.ppf(chance, ceil(count / size), share)) for count in counts]
