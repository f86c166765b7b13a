"""dvc.yaml lists exactly what each stage computes with, and one name means one thing."""

import re
from contextlib import chdir
from copy import deepcopy
from itertools import chain
from pathlib import Path

import grimp
import pytest
from support import DVC_YAML, PARAMS, PIPELINE, REPOSITORY

from digits.models import available
from digits.params import OVERLOOKED
from imageproof.artifacts import WORKSPACE
from imageproof.base.files import flatten
from imageproof.dvc._stage_inputs import listed
from imageproof.dvc.params_yaml import get_by_path

# A change in one of these changes no output, so it must not run a stage again.
LEFT_OUT = {
    "imageproof.base.errors": "words for what went wrong",
    "imageproof.base.files": "reads and writes what it is given",
    "digits.params": "checks values; DVC compares the values themselves",
    "imageproof.system": "processes, git, storage; it computes nothing",
    "imageproof.base._machine": "describes the processor, which DVC does not compare",
    "imageproof.dvc.provenance": "names code and data",
    "imageproof.dvc.stage_command": "starts a stage",
    "imageproof.dvc._stage_inputs": "compares what a stage read; fails, or changes nothing",
    "digits.project": "names blocks of params",
    "imageproof.project": "says what a project is",
    "imageproof.dvc.params_yaml": "checks values",
    "imageproof.mlflow": "logs",
}
# Imported in a function that the stages without this dependency do not call.
READ_BY_REPORT = ("imageproof.judge._caret", "imageproof.judge._slices")
GRAPH = grimp.build_graph("digits", "imageproof", exclude_type_checking_imports=True)
COMPUTING = deepcopy(GRAPH)
for name in LEFT_OUT:
    COMPUTING.squash_module(name)
    COMPUTING.remove_module(name)
for name in READ_BY_REPORT:
    COMPUTING.remove_import(importer="imageproof.outputs", imported=name)

IMAGE = {f"data.image.{key}" for key in PARAMS["data"]["image"]}

# What the short names on the checked params stand for in params.yaml.
READS = {
    "project": set(),  # a name changes no output
    "data.image": IMAGE,
    "validation": {"validate"},
    "confidence.coverage": {"confidence"},
    "recipe": {"train.mlp"},
    "class_names": {"data.classes", "data.class_names"},
    "common_settings": {"seed", "data.classes", "train.distribute"},
    "logged_params": {
        *("seed", "train.distribute", "train.threads", "train.mlp"),
        *("data.classes", *IMAGE),
    },
}
THE_SAME = "seed behaviour models data.percent data.classes data.class_names split promote"
READS |= {key: {key} for key in (*THE_SAME.split(), "train.threads", "train.distribute")}

stages = pytest.mark.parametrize("stage", PIPELINE)
# `train` of another framework is a stage of its own, with other outputs.
MODULES = {stage: block["cmd"].split()[2] for stage, block in PIPELINE.items()}


def sections(stage, model="mlp"):
    """What dvc.yaml lists for the stage, of this model if it is one of each model."""
    with chdir(REPOSITORY):
        return listed(f"{stage}@{model}")


def path_of(module):
    """The module's file, from the repository's root."""
    folder = "src" if module.split(".")[0] == "digits" else "library"
    file = Path(folder, *module.split("."))
    return str(file / "__init__.py" if (REPOSITORY / file).is_dir() else f"{file}.py")


def uncovered(module, deps):
    """Our modules by which this one computes that are neither a listed file nor in a folder."""
    paths = map(path_of, (module, *COMPUTING.find_upstream_modules(module)))
    return {
        path
        for path in paths
        if not path.endswith("__init__.py")
        and not any(Path(path).is_relative_to(dep) for dep in deps)
    }


@stages
def test_every_module_that_a_stage_computes_with_is_a_dependency(stage):
    assert uncovered(MODULES[stage], sections(stage)["deps"]) == set()


@pytest.mark.parametrize("model", available())
def test_a_training_depends_on_its_own_model_and_on_what_that_imports(model):
    deps = {*sections("train", model)["deps"]}
    assert uncovered(f"digits.models.{model}", deps) == set()
    other_models = {path_of(f"digits.models.{name}") for name in available() if name != model}
    assert not other_models & deps


@stages
def test_the_params_listed_are_the_params_read(stage):
    assert {*sections(stage)["params"]} == params_read(MODULES[stage])


@stages
def test_dvc_overlooks_no_name_in_a_block_of_params(stage):
    keys = sections(stage)["params"]
    blocks = [value for key in keys if isinstance(value := get_by_path(PARAMS, key), dict)]
    assert not [key for block in blocks for key in flatten(block) if {*key.split(".")} & OVERLOOKED]


def params_read(module):
    """Keys of params.yaml that the module takes from the loaded params, which it calls `params`."""
    source = (REPOSITORY / path_of(module)).read_text("utf-8")
    assert not re.search(r"(?<!params = )load_params\(\)(?!\.)", source)
    chains = re.findall(r"(?<![\w.])(?:params|load_params\(\))(\.[\w.]+)", source)
    unknown = {chain.split(".")[1] for chain in chains} - {short.split(".")[0] for short in READS}
    assert not unknown, f"add to READS what {unknown} stand for"
    names = [short for short in READS if any(f"{c}.".startswith(f".{short}.") for c in chains)]
    return {*chain.from_iterable(READS[name] for name in names)}


def test_each_stage_is_a_module_and_each_module_a_stage():
    assert GRAPH.find_children("digits.stages") == {*MODULES.values()}


def test_fit_has_one_import_of_ours():
    assert GRAPH.find_upstream_modules("digits.training.fit") == {"imageproof.keras.optimizers"}


def test_dvc_knows_each_model_to_train_by_its_name():
    named = {name: Path(entry["path"]) for name, entry in DVC_YAML["artifacts"].items()}
    models = {*PARAMS["models"], *named}
    assert named == {model: WORKSPACE.trained(model).model for model in models}


@pytest.mark.parametrize("stage", ["train", "evaluate"])
def test_a_stage_writes_exactly_the_outputs_it_lists(stage, trained_project):
    folder = trained_project / "artifacts" / stage
    written = {str(path.relative_to(trained_project)) for path in folder.rglob("*.*")}
    kinds = sections(stage)
    assert written == {*chain(*(kinds[kind] for kind in ("outs", "metrics", "plots")))}
