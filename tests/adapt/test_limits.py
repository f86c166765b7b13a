"""The gate's limits that `adapt` leaves on are passed by models that they do not mean."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from support import REPOSITORY

from imageproof.adapt.facts import Facts
from imageproof.adapt.rules import Change, Models, find_changes
from imageproof.dvc.params_yaml import get_by_path, read, set_keys
from imageproof.judge.gate import Contender, Evidence
from imageproof.registry.absolute_checks import min_sensitivity

DRAWS = 100
EMOJI = Facts(
    class_names=[*"abcdefghi"],
    counts=[100] * 9,
    test_counts=(),
    sizes=Counter({(64, 64): 900}),
    has_colour=True,
    is_transparent=True,
    is_digit_like=False,
)


def changes(facts: Facts, **values: Any) -> tuple[dict[str, Change], Any]:
    """The changes by key, and the params with them."""
    params = read(REPOSITORY / "params.yaml")
    set_keys(params, {key.replace("__", "."): value for key, value in values.items()})
    found = find_changes(facts, params, Models([], ["compact"], {}))
    set_keys(params, {change.key: change.value for change in found})
    return {change.key: change for change in found}, params


def sensitivity_passes(counts: list[int], limit: float, random: np.random.Generator) -> bool:
    """The gate's check of a model that is right for √limit of each class, on a hashed hold-out."""
    rows = random.binomial(counts, 0.15)
    labels = np.repeat(np.arange(len(counts)), rows)
    right = random.random(len(labels)) < np.sqrt(limit)
    predicted = np.where(right, labels, (labels + 1) % len(counts))
    answers = np.eye(len(counts), dtype=np.float32)[predicted]
    challenger = Contender.answering("new", answers)
    names = [str(label) for label in range(len(counts))]
    evidence = Evidence(challenger=challenger, champion=None, labels=labels, names=names)
    return min_sensitivity(evidence, limit).passed


@pytest.mark.parametrize("counts", [[100] * 9, [300] * 3, [90, 4000]], ids=str)
@pytest.mark.parametrize("limit", [0.1, 0.5])
def test_sensitivity_limit_is_one_that_these_rows_show(counts: list[int], limit: float) -> None:
    facts = EMOJI._replace(counts=counts, class_names=[*map(str, range(len(counts)))])
    _, params = changes(facts, promote__min_sensitivity=limit)
    left = params["promote"]["min_sensitivity"]
    random = np.random.default_rng(0)
    passed = np.mean([sensitivity_passes(counts, limit, random) for _ in range(DRAWS)])
    assert left is None or passed >= 0.9
    assert left is not None or passed < 0.999


def test_hundred_pictures_of_a_class_have_no_sensitivity_limit() -> None:
    found, params = changes(EMOJI)
    assert params["promote"]["min_sensitivity"] is None
    assert "hold-out rows" in found["promote.min_sensitivity"].reason


def test_groups_are_fewer_units_than_rows() -> None:
    counts = [3000] * 3
    facts = EMOJI._replace(counts=counts, class_names=[*"abc"])
    grouped = facts._replace(columns={"writer": Counter({str(n): 100 for n in range(90)})})
    assert changes(facts)[1]["promote"]["min_sensitivity"] == 0.1
    assert changes(grouped, split__group="writer")[1]["promote"]["min_sensitivity"] is None


def test_pictures_for_training_only_judge_nothing() -> None:
    chosen, params = changes(EMOJI._replace(counts=[1000] * 9, only_train=[900] * 9))
    without, _ = changes(EMOJI)
    judging = {key for key in {*chosen, *without} if key.startswith(("promote.", "confidence."))}
    assert {key: chosen.get(key) for key in judging} == {key: without.get(key) for key in judging}
    assert params["train"]["compact"]["fit"]["epochs"] == 18  # of 8,570 images to train on


def test_all_rows_are_counted_together() -> None:
    found, params = changes(EMOJI)
    assert params["promote"]["min_unseen"] == 100
    assert "there may be only 118" in found["promote.max_accuracy_loss"].reason


@pytest.mark.parametrize("method", ["official", "hashed"])
def test_large_group_is_named_and_split_by_shares(method: str) -> None:
    groups = Counter({"Ann": 300, **{str(n): 100 for n in range(6)}})
    facts = EMOJI._replace(columns={"writer": groups})
    found, _ = changes(facts, split__group="writer", split__method=method)
    assert found["split.method"].value == "stratified"
    assert found["split.method"].reason == (
        "writer Ann has 300 of 900 images; `hashed` allows 180 in a group"
    )
    assert "split.method" not in changes(facts, split__group=None, split__method="hashed")[0]


@pytest.mark.parametrize("rows", [300, 900, 3000, 100_000])
def test_calibration_limit_follows_the_validation_rows(rows: int) -> None:
    facts = EMOJI._replace(counts=[rows // 9] * 9)
    _, params = changes(facts)
    limit = get_by_path(params, "promote.max_calibration_error")
    assert limit >= min(1, 1 / np.sqrt(0.15 * rows))
    assert limit == 0.02 or limit < 1.5 / np.sqrt(0.15 * rows)
