"""params.yaml is checked whole, and each fault is one line: the key, what it was, what may be."""

import math
from importlib import import_module
from pathlib import Path
from threading import Timer

import pytest
import yaml
from helpers import BOMB, finding, findings
from support import PARAMS, PIPELINE, REPOSITORY, changed, write_params

from digits import params
from digits.models import available
from imageproof.base.errors import UsageError
from imageproof.dvc.params_yaml import get_by_path

STAGES = {
    stage["cmd"].split()[2]: ["mlp"] if "matrix" in stage else [] for stage in PIPELINE.values()
}


def refused(changes):
    return finding(UsageError, params.check, changed(changes))


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("sed", 1, "sed: unknown key; did you mean seed?"),
        ("seed[0]", 1, "seed[0]: unknown key; did you mean seed?"),
        ("seed", True, "seed: True: input should be a valid integer"),
        ("train.mlp", None, "train.mlp: None: input should be a valid dictionary"),
        ("data.class_names", [*"abcdefghi", "a\u200b "], "data: class_names must be 10 different "
         "names"),
        ("split.hashed", {"holdout": 0.1, "test": 0.2, "validation": 0.7},
         "split.hashed: holdout + test + validation is 1; it must be below 1"),
        ("train.mlp.build.unit", 3, "train.mlp.build.unit: unknown key; did you mean units?"),
        ("train.mlp.optimizer.beta_1", 0.7, "train.mlp.optimizer: rmsprop has no beta_1; adam has"),
        ("train.mlp.schedule", {"warmup": 0.1}, "train.mlp.schedule: constant has no warmup"),
        ("train.finetune.build.weights", "a.keras", "train.finetune.build: a file of weights needs "
         "weights_sha256, and only that has one"),
        ("train.finetune.build.weights_sha256", "0" * 64, "train.finetune.build: a file of weights "
         "needs weights_sha256, and only that has one"),
        ("models", ["mlp", "mlp"], "models: each model may be listed once"),
        ("models", ["mlp", "../mlp"], "models: '../mlp' has no builder; there are "
         f"{', '.join(available())}; add src/digits/models/../mlp.py"),
    ],
)  # fmt: skip
def test_wrong_value_is_one_line(key, value, line):
    assert refused({key: value}) == f"params.yaml {line}"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("project.name", "a--b"),
        ("train.mlp.fit.batch_size", 10**9),
        ("train.mlp.optimizer.learning_rate", math.inf),
    ],
)
def test_limit_is_refused_by_key_and_value(key, value):
    assert refused({key: value}).startswith(f"params.yaml {key}: {value!r}: ")


def test_value_of_several_types_is_refused_by_its_key():
    lines = findings(UsageError, params.check, changed({"data.image.size": 28}))
    assert {line[:32] for line in lines} == {"params.yaml data.image.size: 28:"}


@pytest.mark.parametrize("key", ["train", "train.threads", "train.cnn.build"])
def test_missing_key_is_one_line(key):
    values = changed({})
    block, _, name = key.rpartition(".")
    del (get_by_path(values, block) if block else values)[name]
    assert finding(UsageError, params.check, values) == f"params.yaml {key}: missing"


def test_model_without_block_or_file_is_one_line():
    values = changed({"models": ["cnn"]})
    del values["train"]["cnn"]
    line = finding(UsageError, params.check, values)
    assert line == "params.yaml models: 'cnn' has no block train.cnn"
    for name in ("svm", "__init__", "model_dump"):
        assert f"{name!r} has no builder" in refused({"models": [name]})
    assert "train.svm: unknown key" in refused({"models": ["svm"], "train.svm": {"fit": {}}})


@pytest.mark.parametrize(("key", "value"), [("nfiles", 3), ("blocks.0.size", [{"size": 3}])])
def test_name_that_dvc_overlooks_is_refused(key, value):
    values = changed({f"train.mlp.build.{key.partition('.')[0]}": value})
    # the other finding is of the model's file
    line, _ = findings(UsageError, params.check, values)
    assert line.startswith(f"params.yaml train.mlp.build.{key}: DVC overlooks a change of this ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ": is a NoneType, not a mapping of blocks"),
        ("seed: !!python/object/apply:os.getcwd []\n", ": not YAML: could not"),
        (f"\nseed: {'9' * 5000}", ": not YAML: Exceeds the limit"),
        (BOMB, ": not YAML: an alias (*name) is not allowed; write out what it stands for"),
        (f"seed: {'[' * 600}{']' * 600}", ": not YAML: maximum recursion depth"),
        ("# no\n" * 20_001, ": has 100,005 bytes; at most 100,000 are allowed"),
        ("seed: 1 # für", ": not YAML: 'utf-8' codec"),
    ],
)
def test_file_of_other_than_yaml_is_one_line(workspace, text, message):
    Path("params.yaml").write_text(text, "latin-1")
    assert finding(UsageError, params.load).startswith(f"params.yaml{message}")


def test_file_that_an_experiment_stashes_is_waited_for(workspace):
    Path(".dvc").mkdir()
    stashed = Path("stashed.yaml").absolute()
    stashed.write_text(yaml.safe_dump(PARAMS), "utf-8")
    path = stashed.with_name("params.yaml")
    Timer(0.1, path.touch).start()  # git makes an empty file first
    Timer(0.3, stashed.rename, [path]).start()
    assert params.load().seed == PARAMS["seed"]


def test_own_file_is_valid_and_a_number_is_that_of_dvc(workspace):
    text = (REPOSITORY / "params.yaml").read_text("utf-8")
    text = text.replace("learning_rate: 0.001", "learning_rate: 1e-05")
    Path("params.yaml").write_text(text, "utf-8")
    assert params.load().recipe("mlp").optimizer.learning_rate == 1e-05


@pytest.mark.parametrize(("stage", "arguments"), STAGES.items())
def test_stage_refuses_before_any_work(workspace, stage, arguments):
    write_params({"train.mlp.fit.epochs": 0})
    main = import_module(stage).main
    assert "train.mlp.fit.epochs: 0" in finding(UsageError, main, *arguments)
    assert {path.name for path in workspace.iterdir()} == {"gx", "params.yaml"}
