"""The rules of `adapt`: which lines of params.yaml fit which data."""

from collections import Counter

import pytest
from helpers import with_changes
from support import changed

from imageproof.adapt._facts import Facts
from imageproof.adapt._rules import Models, find_changes

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
    sizes=Counter({(300, 400): 900}),
    has_colour=True,
    is_transparent=False,
    is_digit_like=False,
)
FACES = PHOTOGRAPHS._replace(sizes=Counter({(25, 25): 900}), has_colour=False)
HUNDREDS = PHOTOGRAPHS._replace(counts=[100] * 9)
MANY = PHOTOGRAPHS._replace(counts=[3000] * 3)
KEPT = "the line stays"
METHOD = "split.method"
WRITERS = {"split.group": "writer"}
STRATIFIED = WRITERS | {METHOD: "stratified"}
MACRO_F1_LOSS = "promote.max_macro_f1_loss"
NAMES = "data.class_names"
CHANNELS = "data.image.channels"
FIT = "data.image.fit"
MODELS = Models(["mlp", "cnn"], ["compact"], {})


def of_sizes(sizes):
    return PHOTOGRAPHS._replace(sizes=Counter(sizes))


def written(counts, facts=HUNDREDS):
    """These facts, with the images of each writer."""
    return facts._replace(columns={"writer": Counter(counts)})


def find(facts, params=None, models=MODELS):
    """New values of this repository's params.yaml, in which some keys have other ones."""
    params = changed(params or {})
    changes = find_changes(facts, params, models)
    assert all(change.today != change.value and change.reason for change in changes)
    fitting = with_changes(params, {change.key: change.value for change in changes})
    assert find_changes(facts, fitting, models) == []
    return {change.key: change.value for change in changes}


def test_lines_of_photographs():
    lines = {
        "data.classes": 3,
        "models": ["compact"],
        "data.image.fit": "crop",
        "split.method": "hashed",
        "validate.min_rows": 450,
        "validate.max_mean_ink": 255,
        "confidence.coverage": 0.975,
        "promote.min_accuracy": None,
        "promote.max_unsure": None,
    }
    assert lines.items() <= find(PHOTOGRAPHS).items()


@pytest.mark.parametrize(
    ("facts", "params", "key", "value"),
    [
        (PHOTOGRAPHS, {"promote.min_accuracy": 0.6}, "promote.min_accuracy", KEPT),
        # the classes of the data under other names, and one that is not among them
        (PHOTOGRAPHS, {NAMES: ["Hut", "Rock", "Schuh"]}, NAMES, KEPT),
        (PHOTOGRAPHS, {NAMES: ["boot", " cap", "coat\u200b"]}, NAMES, KEPT),
        (PHOTOGRAPHS, {NAMES: ["boot", "cap", "shoe"]}, NAMES, None),
        (PHOTOGRAPHS, {"models": ["mlp", "own"]}, "models", ["compact", "own"]),
        (PHOTOGRAPHS, {CHANNELS: "grey"}, CHANNELS, "auto"),
        (FACES, {CHANNELS: "rgb"}, CHANNELS, "auto"),
        (FACES, {}, FIT, "stretch"),
        (PHOTOGRAPHS._replace(is_transparent=True), {}, FIT, "pad"),
        (of_sizes({(100, 500): 9}), {}, FIT, "stretch"),
        (of_sizes({(300, 400): 9}), {}, "data.image.size", [64, 64]),
        (of_sizes({(16, 17): 9, (17, 17): 9}), {}, "data.image.size", [16, 16]),
        (PHOTOGRAPHS, WRITERS, "split.group", None),
        (written(dict.fromkeys(range(90), 10)), WRITERS, "split.group", KEPT),
        (written({"Ann": 181}), WRITERS, METHOD, "stratified"),
        (written(dict.fromkeys(range(5), 180)), WRITERS, METHOD, "hashed"),
        (PHOTOGRAPHS._replace(test_counts=[5] * 3), {METHOD: "stratified"}, METHOD, "official"),
        (PHOTOGRAPHS._replace(counts=[100] * 3), {}, "confidence.coverage", 0.9),
        # two or three writers in the hold-out
        (written(dict.fromkeys(range(20), 450), MANY), STRATIFIED, MACRO_F1_LOSS, None),
        # 280 rows of a class in 14 groups
        (written(dict.fromkeys(range(450), 20), MANY), WRITERS, "promote.min_sensitivity", None),
        (written(dict.fromkeys(range(90), 100), MANY), WRITERS, "train.compact.fit.epochs", 19),
    ],
)
def test_line(facts, params, key, value):
    assert find(facts, params).get(key, KEPT) == value


def test_size_is_that_of_the_backbone_or_of_the_pictures():
    models = MODELS._replace(general=["compact", "features"], sides={"features": 224})
    for sizes, side in (({(300, 400): 9}, 224), ({(170, 180): 19, (90, 90): 1}, 170)):
        values = find(of_sizes(sizes), {}, models)
        assert (values["data.image.size"], values["models"]) == ([side, side], models.general)


def test_params_of_the_repository_fit_its_digits():
    assert find(DIGITS) == {}


@pytest.mark.parametrize(
    ("rows", "batch_size", "epochs"),
    [(51_000, 256, 4), (12_000, 256, 24), (900, 32, 40), (3, 32, 100)],
)
def test_training_has_some_hundred_steps(rows, batch_size, epochs):
    values = find(PHOTOGRAPHS._replace(counts=[rows // 3] * 3))
    assert values.get("train.compact.fit.batch_size", 256) == batch_size
    assert values.get("train.compact.fit.epochs", 4) == epochs


def test_models_stay_where_no_other_one_can_be_trained():
    assert "models" not in find(PHOTOGRAPHS, {"models": ["mlp"]}, Models(["mlp"], [], {}))


def test_gate_asks_nothing_that_few_rows_cannot_show():
    values = find(FACES._replace(counts=[40, 40]))  # about 3 hold-out rows of each class
    losses = ("accuracy", "balanced_accuracy", "macro_f1", "sensitivity", "total")
    assert all(values[f"promote.max_{loss}_loss"] is None for loss in losses)
    assert values["promote.min_unseen"] == 3  # half of them
    assert values["promote.max_calibration_error"] == 0.38  # 1 / √7 of as many validation rows
    assert "promote.paired_test" not in values
    many = find(PHOTOGRAPHS._replace(counts=[100_000] * 3))
    assert {key for key in many if key.startswith("promote")} == {
        *("promote.min_accuracy", "promote.max_unsure")
    }
    # all classes together have more than nine times what each has at least
    assert "promote.min_unseen" not in find(HUNDREDS)


def test_pictures_for_training_only_judge_nothing():
    chosen, without = (
        find(HUNDREDS._replace(**counts))
        for counts in ({"counts": [1000] * 9, "only_train": [900] * 9}, {})
    )
    assert chosen.pop("train.compact.fit.epochs") == 18  # of 8,570 images to train on
    for key in without:
        if key.startswith(("promote.", "confidence.")):
            assert chosen[key] == without[key]
