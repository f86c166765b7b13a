"""params.yaml is checked whole, and each fault is one line: the key, what it was, what may be."""

import json
import math
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from support import BOMB, PARAMS, PIPELINE, REPOSITORY, changed, finding, findings, write_params

from digits import params
from digits.models import available
from imageproof.base.errors import UsageError
from imageproof.base.files import flatten

STAGES = {
    stage["cmd"].split()[2]: ["mlp"] if "matrix" in stage else [] for stage in PIPELINE.values()
}


def refused(changes: dict[str, Any]) -> str:
    return finding(UsageError, lambda: params.check(changed(changes)))


def test_the_repositorys_own_file_is_valid() -> None:
    checked = params.load(REPOSITORY / "params.yaml")
    assert checked.models == PARAMS["models"]
    assert all(checked.recipe(model) for model in checked.models)


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("sed", 1, "sed: unknown key; did you mean seed?"),
        ("nothing", 1, "nothing: unknown key"),
        ("project.name", "a--b", "project.name: 'a--b': string should match pattern "
         "'^[a-z][a-z0-9]*(-[a-z0-9]+)*$'"),
        ("seed", True, "seed: True: input should be a valid integer"),
        ("seed", -1, "seed: -1: input should be greater than or equal to 0"),
        ("data", None, "data: None: input should be a valid dictionary or instance "
         "of DataParams"),
        ("data.class_names", [], "data: class_names must be 10 different names"),
        ("data.classes", 10**9, "data.classes: 1000000000: input should be less than or equal to "
         "10000"),
        ("data.class_names", [*"abcdefghi", "a "],
         "data: class_names must be 10 different names"),
        ("data.class_names", [*"abcdefghi", "\u200b "],
         "data: class_names must be 10 different names"),
        ("data.class_names", ["x" * 5000, *"abcdefghi"],
         "data.class_names.0: 'xxxxxxxxxxxx...xxxxxxxxxxxxx': string should have at most 100 "
         "characters"),
        ("split.method", "kfold", "split.method: 'kfold': input should be 'official', "
         "'hashed' or 'stratified'"),
        ("split.official", {"validation": 0.5, "holdout": 0.6},
         "split.official: validation + holdout is 1.1; it must be below 1"),
        ("train.thread", 2, "train.thread: unknown key; did you mean threads?"),
        ("validate.min_row", 2, "validate.min_row: unknown key; did you mean min_rows?"),
        ("train.cnn.fit.epoch", 2, "train.cnn.fit.epoch: unknown key; did you mean epochs?"),
        ("train.mlp", None, "train.mlp: None: input should be a valid dictionary or "
         "instance of Recipe"),
        ("train.mlp.build.unit", 3, "train.mlp.build.unit: unknown key; did you mean units?"),
        ("train.mlp.build.units", [512, 256, "x"], "train.mlp.build.units.2: 'x': input should "
         "be a valid integer"),
        ("train.mlp.build.units", [512, 256, 10**9], "train.mlp.build.units.2: 1000000000: input "
         "should be less than or equal to 1000000"),
        ("train.mlp.fit.batch_size", 10**9, "train.mlp.fit.batch_size: 1000000000: input should be "
         "less than or equal to 1000000"),
        ("train.mlp.fit.class_weights", {3: math.inf}, "train.mlp.fit.class_weights: `balanced`, "
         "or a mapping from class numbers to weights above 0, at most 1,000,000, is allowed"),
        ("train.threads", 10**12, "train.threads: 1000000000000: input should be less than or "
         "equal to 1024"),
        ("train.mlp.optimizer.learning_rate", math.inf, "train.mlp.optimizer.learning_rate: inf: "
         "input should be a finite number"),
        ("train.mlp.optimizer.beta_1", 0.7, "train.mlp.optimizer: rmsprop has no beta_1; adam has"),
        ("train.compact.schedule.name", "constant", "train.compact.schedule: warmup needs "
         "`name: cosine`"),
        ("promote.min_accuracy", math.nan, "promote.min_accuracy: nan: input should be a finite "
         "number"),
        ("models", ["mlp", "mlp"], "models: each model may be listed once"),
        ("models", ["mlp", "../mlp"], "models: '../mlp' has no builder; there are "
         f"{', '.join(available())}; add src/digits/models/../mlp.py"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_one_line(key: str, value: object, line: str) -> None:
    assert refused({key: value}) == f"params.yaml {line}"


@pytest.mark.parametrize(
    "key", ["seed", "train", "train.threads", "train.cnn.fit", "train.cnn.build"]
)
def test_a_missing_key_is_one_line(key: str) -> None:
    values = changed({})
    *blocks, last = key.split(".")
    block = values
    for name in blocks:
        block = block[name]
    del block[last]
    assert finding(UsageError, lambda: params.check(values)) == f"params.yaml {key}: missing"


def test_a_model_without_a_block_or_a_file_is_one_line() -> None:
    values = changed({"models": ["mlp", "cnn"]})
    del values["train"]["cnn"]
    assert finding(UsageError, lambda: params.check(values)) == (
        "params.yaml models: 'cnn' has no block train.cnn"
    )
    for name in ("svm", "__init__", "model_dump", "threads"):
        assert f"{name!r} has no builder" in refused({"models": [name]})
    assert "train.svm: unknown key" in refused({"models": ["svm"], "train.svm": {"fit": {}}})


@pytest.mark.parametrize("name", ["size", "nfiles"])
def test_name_that_dvc_overlooks_is_refused(name: str) -> None:
    said = f"params.yaml train.mlp.build.{name}: DVC overlooks a change of this name; choose anoth"
    values = changed({f"train.mlp.build.{name}": 3})
    assert said in findings(UsageError, lambda: params.check(values))[0]
    in_a_list = changed({"train.mlp.build.blocks": [{name: 3}]})
    found = findings(UsageError, lambda: params.check(in_a_list))[0]
    assert found == said.replace(name, f"blocks.0.{name}") + "er"


def test_every_fault_is_told_at_once() -> None:
    changes = {"seed": -1, "train.threads": 0, "train.mlp.fit.epochs": 0, "data.percent": 0}
    assert len(findings(UsageError, lambda: params.check(changed(changes)))) == 4


@pytest.mark.parametrize("block", ["train", "data"])
def test_a_key_that_is_no_text_is_refused(block: str) -> None:
    assert "keys should be strings" in refused({block: {**PARAMS[block], 1: {}}})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ": is a NoneType, not a mapping of blocks"),
        ("seed: 1\nmodels: [mlp\n", ": not YAML: while parsing a flow sequence"),
        ("seed: 1\nseed: 2\n", ": not YAML: while constructing a mapping"),
        ("seed: !!python/object/apply:os.getcwd []\n", ": not YAML: could not"),
        (f"\nseed: {'9' * 5000}", ": not YAML: Exceeds the limit"),
        (f"\nseed: 0x{'9' * 5000}", ": not YAML: Exceeds the limit"),
        (BOMB, ": not YAML: an alias (*name) is not allowed; write out what it stands for"),
        (f"seed: {'[' * 3000}{']' * 3000}", ": not YAML: maximum recursion depth"),
        ("# no\n" * 20_001, ": has 100,005 bytes; at most 100,000 are allowed"),
        ("seed: 2001-13-41", ": not YAML: "),
    ],
)
def test_a_file_that_is_no_such_yaml_is_one_line(workspace: Path, text: str, said: str) -> None:
    Path("params.yaml").write_text(text)
    assert finding(UsageError, params.load).startswith(f"params.yaml{said}")


def test_a_file_that_cannot_be_read_is_one_line(workspace: Path) -> None:
    path = Path("params.yaml")
    assert "not found; run from the project's folder" in finding(UsageError, params.load)
    path.write_bytes("seed: 1 # für".encode("latin-1"))
    assert finding(UsageError, params.load).startswith("params.yaml: not YAML: 'utf-8' codec")


@pytest.mark.parametrize("written", ["1e-05", "0.00001"])
def test_a_number_means_what_it_means_to_dvc(workspace: Path, written: str) -> None:
    text = (REPOSITORY / "params.yaml").read_text("utf-8")
    text = text.replace("learning_rate: 0.001", f"learning_rate: {written}")
    Path("params.yaml").write_text(text, "utf-8")
    assert params.load().recipe("mlp").optimizer.learning_rate == 1e-05


def test_flatten_names_each_value_by_its_path() -> None:
    values = {"fit": {"epochs": 2, "x": {"y": None}}, "units": [3, 2]}
    assert flatten(values) == {"fit.epochs": 2, "fit.x.y": None, "units": [3, 2]}


@pytest.mark.parametrize(("stage", "arguments"), STAGES.items())
def test_a_stage_refuses_before_any_work(workspace: Path, stage: str, arguments: list[str]) -> None:
    write_params({"train.mlp.fit.epochs": 0})
    main = import_module(stage).main
    assert "train.mlp.fit.epochs: 0" in finding(UsageError, lambda: main(*arguments))
    assert {path.name for path in workspace.iterdir()} == {"gx", "params.yaml"}


def test_every_training_is_told_seed_classes_and_devices() -> None:
    given = {"seed": 7, "data.classes": 3, "train.distribute": "mirrored"}
    told = params.check(changed(given)).common_settings()
    assert told == {"seed": 7, "classes": 3, "distribute": "mirrored"}


def test_the_values_of_a_recipe_are_ready_for_json() -> None:
    recipe = params.check(changed({})).recipe("cnn")
    assert json.loads(json.dumps(recipe.model_dump()))["build"]["filters"] == [32, 64]
