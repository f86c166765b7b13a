"""The rules of `adapt`: which lines of params.yaml fit which data."""

from collections import Counter
from typing import Any

import pytest
from support import REPOSITORY

from imageproof.adapt.facts import Facts
from imageproof.adapt.rules import Models, find_changes
from imageproof.dvc.params_yaml import read, set_keys

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


def changes(facts: Facts, side: int | None = None, **values: Any) -> dict[str, Any]:
    """The new values for params.yaml of this repository, in which some have others."""
    params = read(REPOSITORY / "params.yaml")
    set_keys(params, {key.replace("__", "."): value for key, value in values.items()})
    models = Models(SIMPLE, ["compact"], {})
    if side:
        models = Models(SIMPLE, ["compact", "features"], {"features": side})
    found = find_changes(facts, params, models)
    assert all(change.today != change.value and change.reason for change in found)
    set_keys(params, {change.key: change.value for change in found})
    assert find_changes(facts, params, models) == []
    return {change.key: change.value for change in found}


def test_params_of_the_repository_fit_its_digits() -> None:
    assert changes(DIGITS) == {}


def test_photographs_change_what_digits_need() -> None:
    found = changes(PHOTOGRAPHS)
    assert found["data.classes"] == 3
    assert found["models"] == ["compact"]
    assert found["data.image.fit"] == "crop"
    assert found["validate.min_rows"] == 450
    assert found["promote.min_accuracy"] is None
    assert found["promote.max_unsure"] is None
    assert "data.image.channels" not in found


def test_models_for_photographs_take_the_place_of_simple_ones() -> None:
    assert changes(PHOTOGRAPHS, 224)["models"] == ["compact", "features"]
    assert changes(PHOTOGRAPHS, models=["mlp", "own"])["models"] == ["compact", "own"]
    assert "models" not in changes(PHOTOGRAPHS, 224, models=["compact"])


@pytest.mark.parametrize(
    ("names", "new_names"),
    [
        (["cap", "coat", "boot"], ["cap", "coat", "boot"]),  # the same in another order
        (["Stiefel", "Mütze", "Mantel"], ["Stiefel", "Mütze", "Mantel"]),
        (["boot", "cap", "shoe"], None),
        (["boot", "cap"], None),
    ],
)
def test_class_names_that_cannot_be_meant_are_null(names: list[str], new_names: Any) -> None:
    found = changes(PHOTOGRAPHS, data__class_names=names)
    assert found.get("data.class_names", names) == new_names


@pytest.mark.parametrize(
    ("sizes", "side", "size"),
    [
        ({(25, 25): 9}, 224, "auto"),
        ({(100, 72): 9}, None, "auto"),
        ({(300, 400): 9}, None, [64, 64]),
        ({(300, 400): 9}, 224, [224, 224]),
        ({(150, 180): 5, (140, 170): 4}, 224, [128, 128]),
        ({(20, 30): 5, (22, 30): 4}, 224, [64, 64]),
        ({(300, 400): 9}, 32, [64, 64]),
    ],
)
def test_size(sizes: dict[tuple[int, int], int], side: int | None, size: Any) -> None:
    facts = PHOTOGRAPHS._replace(sizes=Counter(sizes))
    assert changes(facts, side).get("data.image.size", "auto") == size
    kept = changes(facts, side, data__image__size=[32, 32])
    assert "data.image.size" not in kept


@pytest.mark.parametrize(
    ("facts", "fit"),
    [
        (FACES, "stretch"),
        (PHOTOGRAPHS._replace(sizes=Counter({(100, 500): 5, (100, 400): 4})), "stretch"),
        (PHOTOGRAPHS._replace(is_transparent=True), "pad"),
        (FACES._replace(is_digit_like=True), "digit"),
    ],
)
def test_fit(facts: Facts, fit: str) -> None:
    assert changes(facts).get("data.image.fit", "digit") == fit
    assert "data.image.fit" not in changes(facts, data__image__fit="crop")


def test_channels_that_contradict_the_pictures_are_auto() -> None:
    colour = {"data__image__fit": "crop", "data__image__channels": "rgb"}
    assert "data.image.channels" not in changes(PHOTOGRAPHS, **colour)
    assert changes(FACES, **colour)["data.image.channels"] == "auto"
    assert changes(PHOTOGRAPHS, data__image__channels="grey")["data.image.channels"] == "auto"


def test_official_split_needs_a_test_part_of_all_classes() -> None:
    for facts in (PHOTOGRAPHS, PHOTOGRAPHS._replace(test_counts=[5, 0, 5])):
        assert changes(facts)["split.method"] == "hashed"
    tested = PHOTOGRAPHS._replace(test_counts=[5, 5, 5])
    assert "split.method" not in changes(tested)
    assert changes(tested, split__method="stratified")["split.method"] == "official"


def test_group_is_a_column_of_the_table() -> None:
    assert changes(PHOTOGRAPHS, split__group="writer")["split.group"] is None
    written = PHOTOGRAPHS._replace(columns={"writer": Counter(map(str, range(900)))})
    assert "split.group" not in changes(written, split__group="writer")


@pytest.mark.parametrize(
    ("rows", "batch_size", "epochs"),
    [(75_000, 256, 4), (12_000, 256, 24), (900, 32, 40), (150, 32, 100), (3, 32, 100)],
)
def test_training_has_some_hundred_steps(rows: int, batch_size: int, epochs: int) -> None:
    found = changes(PHOTOGRAPHS._replace(counts=[rows // 3] * 3))
    assert found.get("train.compact.fit.batch_size", 256) == batch_size
    assert found.get("train.compact.fit.epochs", 4) == epochs


@pytest.mark.parametrize(
    ("counts", "coverage"),
    [([6000] * 10, 0.99), ([300] * 3, 0.975), ([100] * 3, 0.9), ([20] * 2, 0.8)],
)
def test_coverage_by_validation_rows(counts: list[int], coverage: float) -> None:
    facts = PHOTOGRAPHS._replace(counts=counts)
    assert changes(facts).get("confidence.coverage", 0.99) == coverage


def test_gate_asks_nothing_that_few_rows_cannot_show() -> None:
    found = changes(FACES._replace(counts=[40, 40]))  # about 3 hold-out rows of each class
    losses = ("accuracy", "balanced_accuracy", "macro_f1", "sensitivity", "total")
    assert all(found[f"promote.max_{loss}_loss"] is None for loss in losses)
    assert found["promote.min_sensitivity"] is None
    assert found["promote.max_calibration_error"] == 0.38  # 1 / √7 of as many validation rows
    assert "promote.paired_test" not in found
    many = changes(PHOTOGRAPHS._replace(counts=[100_000] * 3))
    assert {key for key in many if key.startswith("promote")} == {
        *("promote.min_accuracy", "promote.max_unsure")
    }
    assert "promote.min_accuracy" not in changes(PHOTOGRAPHS, promote__min_accuracy=0.6)


def test_lines_that_the_file_lacks_are_not_proposed() -> None:
    params = read(REPOSITORY / "params.yaml")
    params["models"] = ["own"]
    params["train"]["own"] = {"depth": 3, "fit": {"epochs": 1}}
    del params["data"]["class_names"]
    keys = {change.key for change in find_changes(FACES, params, Models(SIMPLE, ["compact"], {}))}
    assert not {key for key in keys if key.startswith(("train", "models", "data.class_names"))}
