"""The rules of `adapt`: which lines of params.yaml fit which data."""

from collections import Counter

import numpy as np
import pytest
from support import REPOSITORY

from imageproof.adapt.facts import Facts
from imageproof.adapt.rules import Models, find_changes
from imageproof.dvc.params_yaml import read, set_keys
from imageproof.judge.gate import Contender, Evidence
from imageproof.registry.absolute_checks import min_sensitivity

SIMPLE = ["mlp", "cnn"]
DIGITS = Facts(
    class_names=[*"0123456789"],
    counts=[6000] * 10,
    test_counts=[1000] * 10,
    sizes=Counter({(28, 28): 70_000}),
    has_colour=False,
    is_transparent=False,
    is_digit_like=True,
)
PHOTOGRAPHS = Facts(
    class_names=["boot", "cap", "coat"],
    counts=[300] * 3,
    test_counts=(),
    sizes=Counter({(300, 400): 500, (640, 480): 400}),
    has_colour=True,
    is_transparent=False,
    is_digit_like=False,
)
FACES = PHOTOGRAPHS._replace(
    class_names=["face", "none"],
    counts=[100, 100],
    sizes=Counter({(25, 25): 200}),
    has_colour=False,
)
HUNDREDS = PHOTOGRAPHS._replace(class_names=[*"abcdefghi"], counts=[100] * 9)


def find(facts, side=None, **values):
    """The changes of this repository's params.yaml, in which some keys have other values."""
    params = read(REPOSITORY / "params.yaml")
    set_keys(params, {key.replace("__", "."): value for key, value in values.items()})
    models = Models(SIMPLE, ["compact"], {})
    if side:
        models = Models(SIMPLE, ["compact", "features"], {"features": side})
    changes = find_changes(facts, params, models)
    assert all(change.today != change.value and change.reason for change in changes)
    set_keys(params, {change.key: change.value for change in changes})
    assert find_changes(facts, params, models) == []
    return {change.key: change for change in changes}


def new_values(facts, side=None, **values):
    return {key: change.value for key, change in find(facts, side, **values).items()}


def test_params_of_the_repository_fit_its_digits():
    assert new_values(DIGITS) == {}


def test_photographs_change_what_digits_need():
    values = new_values(PHOTOGRAPHS)
    expected = {
        "data.classes": 3,
        "models": ["compact"],
        "data.image.fit": "crop",
        "validate.min_rows": 450,
        "promote.min_accuracy": None,
        "promote.max_unsure": None,
    }
    assert values | expected == values
    assert "data.image.channels" not in values


def test_models_for_photographs_take_the_place_of_simple_ones():
    assert new_values(PHOTOGRAPHS, 224)["models"] == ["compact", "features"]
    assert new_values(PHOTOGRAPHS, models=["mlp", "own"])["models"] == ["compact", "own"]
    assert "models" not in find(PHOTOGRAPHS, 224, models=["compact"])


@pytest.mark.parametrize(
    ("names", "new_names"),
    [
        (["cap", "coat", "boot"], ["cap", "coat", "boot"]),  # the same in another order
        (["Stiefel", "Mütze", "Mantel"], ["Stiefel", "Mütze", "Mantel"]),
        (["boot", "cap", "shoe"], None),
        (["boot", "cap"], None),
    ],
)
def test_class_names_that_cannot_be_meant_are_null(names, new_names):
    values = new_values(PHOTOGRAPHS, data__class_names=names)
    assert values.get("data.class_names", names) == new_names


@pytest.mark.parametrize(
    ("sizes", "side", "size"),
    [
        ({(100, 72): 9}, None, "auto"),
        ({(300, 400): 9}, None, [64, 64]),
        ({(300, 400): 9}, 224, [224, 224]),
        ({(150, 180): 5, (140, 170): 4}, 224, [128, 128]),
        ({(20, 30): 5, (22, 30): 4}, 224, [64, 64]),
        ({(300, 400): 9}, 32, [64, 64]),
    ],
)
def test_size(sizes, side, size):
    facts = PHOTOGRAPHS._replace(sizes=Counter(sizes))
    assert new_values(facts, side).get("data.image.size", "auto") == size
    assert "data.image.size" not in find(facts, side, data__image__size=[32, 32])


@pytest.mark.parametrize(
    ("facts", "fit"),
    [
        (FACES, "stretch"),
        (PHOTOGRAPHS._replace(sizes=Counter({(100, 500): 5, (100, 400): 4})), "stretch"),
        (PHOTOGRAPHS._replace(sizes=Counter({(100, 500): 4, (300, 400): 5})), "crop"),
        (PHOTOGRAPHS._replace(is_transparent=True), "pad"),
        (FACES._replace(is_digit_like=True), "digit"),
    ],
)
def test_fit(facts, fit):
    assert new_values(facts).get("data.image.fit", "digit") == fit
    assert "data.image.fit" not in find(facts, data__image__fit="crop")


def test_channels_that_contradict_the_pictures_are_auto():
    colour = {"data__image__fit": "crop", "data__image__channels": "rgb"}
    assert "data.image.channels" not in find(PHOTOGRAPHS, **colour)
    assert new_values(FACES, **colour)["data.image.channels"] == "auto"
    assert new_values(PHOTOGRAPHS, data__image__channels="grey")["data.image.channels"] == "auto"


def test_official_split_needs_a_test_part_and_all_classes_in_each_part():
    tested = PHOTOGRAPHS._replace(test_counts=[5, 5, 5])
    for facts in (PHOTOGRAPHS, tested._replace(counts=[300, 300, 4])):
        assert new_values(facts)["split.method"] == "hashed"
    assert new_values(tested, data__percent=1)["split.method"] == "hashed"
    assert "split.method" not in find(tested)
    assert new_values(tested, split__method="stratified")["split.method"] == "official"
    for only_drawn in ({"split__copies": "together"}, {"split__holdout_within_test": True}):
        assert "split.method" not in find(tested, split__method="hashed", **only_drawn)


def test_group_is_a_column_of_the_table():
    assert new_values(PHOTOGRAPHS, split__group="writer")["split.group"] is None
    written = PHOTOGRAPHS._replace(columns={"writer": Counter(map(str, range(900)))})
    assert "split.group" not in find(written, split__group="writer")


@pytest.mark.parametrize("method", ["official", "hashed"])
def test_large_group_is_named_and_split_by_shares(method):
    groups = Counter({"Ann": 300, **{str(n): 100 for n in range(6)}})
    facts = HUNDREDS._replace(columns={"writer": groups})
    change = find(facts, split__group="writer", split__method=method)["split.method"]
    assert change.value == "stratified"
    assert change.reason == "writer Ann has 300 of 900 images; `hashed` allows 180 in a group"
    assert "split.method" not in find(facts, split__group=None, split__method="hashed")
    fifths = facts._replace(columns={"writer": Counter(dict.fromkeys("abcde", 180))})
    assert "split.method" not in find(fifths, split__group="writer", split__method="hashed")


@pytest.mark.parametrize(
    ("rows", "batch_size", "epochs"),
    [
        (75_000, 256, 4),
        (51_000, 256, 4),
        (12_000, 256, 24),
        (900, 32, 40),
        (150, 32, 100),
        (3, 32, 100),
    ],
)
def test_training_has_some_hundred_steps(rows, batch_size, epochs):
    values = new_values(PHOTOGRAPHS._replace(counts=[rows // 3] * 3))
    assert values.get("train.compact.fit.batch_size", 256) == batch_size
    assert values.get("train.compact.fit.epochs", 4) == epochs


@pytest.mark.parametrize(
    ("counts", "coverage"),
    [([6000] * 10, 0.99), ([300] * 3, 0.975), ([100] * 3, 0.9), ([20] * 2, 0.8)],
)
def test_coverage_by_validation_rows(counts, coverage):
    values = new_values(PHOTOGRAPHS._replace(counts=counts))
    assert values.get("confidence.coverage", 0.99) == coverage


def test_gate_asks_nothing_that_few_rows_cannot_show():
    values = new_values(FACES._replace(counts=[40, 40]))  # about 3 hold-out rows of each class
    losses = ("accuracy", "balanced_accuracy", "macro_f1", "sensitivity", "total")
    assert all(values[f"promote.max_{loss}_loss"] is None for loss in losses)
    assert values["promote.min_sensitivity"] is None
    assert values["promote.min_unseen"] == 3  # half of them
    assert values["promote.max_calibration_error"] == 0.38  # 1 / √7 of as many validation rows
    assert "promote.paired_test" not in values
    many = find(PHOTOGRAPHS._replace(counts=[100_000] * 3))
    assert {key for key in many if key.startswith("promote")} == {
        *("promote.min_accuracy", "promote.max_unsure")
    }
    assert "promote.min_accuracy" not in find(PHOTOGRAPHS, promote__min_accuracy=0.6)


def test_hundred_pictures_of_a_class_show_little():
    changes = find(HUNDREDS)
    assert changes["promote.min_sensitivity"].value is None
    assert "hold-out rows" in changes["promote.min_sensitivity"].reason
    # all classes together have more than nine times what each has at least
    assert "promote.min_unseen" not in changes
    assert "there may be only 118" in changes["promote.max_accuracy_loss"].reason


def test_pictures_for_training_only_judge_nothing():
    chosen = find(HUNDREDS._replace(counts=[1000] * 9, only_train=[900] * 9))
    without = find(HUNDREDS)
    judging = {key for key in {*chosen, *without} if key.startswith(("promote.", "confidence."))}
    assert {key: chosen.get(key) for key in judging} == {key: without.get(key) for key in judging}
    assert chosen["train.compact.fit.epochs"].value == 18  # of 8,570 images to train on


def test_percent_of_the_pictures_is_as_fewer_pictures():
    def lines(pictures, **values):
        facts = HUNDREDS._replace(counts=[2 * pictures] * 9, only_train=[pictures] * 9)
        changes = find(facts, split__method="stratified", **values).values()
        return [change for change in changes if change.key != "validate.min_rows"]

    assert lines(1000, data__percent=10) == lines(100)


def sensitivity_passes(counts, limit, random):
    """The gate's check of a model that is right for √limit of each class, on a hashed hold-out."""
    classes = len(counts)
    labels = np.arange(classes).repeat(random.binomial(counts, 0.15))
    is_right = random.random(len(labels)) < np.sqrt(limit)
    predicted = np.where(is_right, labels, (labels + 1) % classes)
    challenger = Contender.answering("new", np.eye(classes, dtype=np.float32)[predicted])
    names = [*map(str, range(classes))]
    evidence = Evidence(challenger=challenger, champion=None, labels=labels, names=names)
    return min_sensitivity(evidence, limit).passed


@pytest.mark.parametrize("counts", [[100] * 9, [300] * 3, [90, 4000]], ids=str)
@pytest.mark.parametrize("limit", [0.1, 0.5])
def test_sensitivity_limit_is_one_that_these_rows_show(counts, limit):
    facts = PHOTOGRAPHS._replace(counts=counts, class_names=[*map(str, range(len(counts)))])
    is_off = "promote.min_sensitivity" in find(facts, promote__min_sensitivity=limit)
    random = np.random.default_rng(0)
    passed = np.mean([sensitivity_passes(counts, limit, random) for _ in range(100)])
    assert passed < 0.999 if is_off else passed >= 0.9


def test_groups_are_fewer_units_than_rows():
    facts = PHOTOGRAPHS._replace(counts=[3000] * 3)
    grouped = facts._replace(columns={"writer": Counter({str(n): 100 for n in range(90)})})
    assert "promote.min_sensitivity" not in find(facts)
    values = new_values(grouped, split__group="writer")
    assert values["promote.min_sensitivity"] is None
    assert values["train.compact.fit.epochs"] == 19  # of rows, not groups


@pytest.mark.parametrize("rows", [300, 900, 3000, 100_000])
def test_calibration_limit_follows_the_validation_rows(rows):
    facts = HUNDREDS._replace(counts=[rows // 9] * 9)
    values = new_values(facts, split__hashed__validation=0.3)
    limit = values.get("promote.max_calibration_error", 0.02)
    chance = 1 / np.sqrt(0.3 * rows)
    assert limit >= chance
    assert limit == 0.02 or limit < 1.5 * chance


def test_lines_that_the_file_lacks_are_not_proposed():
    params = read(REPOSITORY / "params.yaml")
    params["models"] = ["own"]
    params["train"]["own"] = {"depth": 3, "fit": {"epochs": 1}}
    del params["data"]["class_names"]
    keys = {change.key for change in find_changes(FACES, params, Models(SIMPLE, ["compact"], {}))}
    assert not {key for key in keys if key.startswith(("train", "models", "data.class_names"))}
