"""Reproducing a version: what is refused, the clone, the comparison; see test_end_to_end."""

import platform
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import arena
import numpy as np
import pytest
from arena import accept, fighter
from example import NAME, load_project
from helpers import finding, git, run_record
from mlflow import MlflowClient

from imageproof.artifacts import WORKSPACE
from imageproof.base.errors import IntegrityError
from imageproof.base.files import write_json
from imageproof.registry import promotion, reproduce
from imageproof.registry.recorded import commit_origin
from imageproof.registry.reproduce import compare
from imageproof.registry.version import find_origin, load_version


def test_other_predictions_are_counted_and_measured():
    recorded = np.array([[0.5, 0.5], [0.25, 0.75]], np.float32)
    repeated = np.array([[0.25, 0.75], [0.25, 0.75]], np.float32)
    text = compare("m", recorded, repeated, tolerance=0.25)
    assert text == "1 of 2 predictions identical, largest probability difference 0.25"
    for answers in (repeated, repeated * np.nan):
        finding(IntegrityError, partial(compare, "m", recorded, answers, tolerance=0.2))
    line = finding(IntegrityError, lambda: compare("m", recorded, repeated, tolerance=0.2))
    assert line == (
        "m: 1 of 2 predictions identical, largest probability difference 0.25;"
        " at most 0.2 is allowed (--tolerance)"
    )


def reproduced(version):
    """The line with which a version is not reproduced."""
    again = partial(reproduce.reproduce_version, f"models:/{NAME}/{version}")
    return finding(IntegrityError, partial(again, load_project(), tolerance=0))


def loaded(version):
    """The line with which a version is not loaded."""

    def load():
        with load_version(f"models:/{NAME}/{version}", threads=1):
            pass

    return finding(IntegrityError, load)


@pytest.mark.parametrize(
    ("value", "param", "work"),
    [
        (None, "model is None", reproduced),
        ("no", "threads is 'no'", reproduced),
        ("0", "threads is 0", reproduced),
        ("no", "image.fit is 'no'", loaded),
    ],
)
def test_forged_param_is_a_line(ring, value, param, work):
    run = fighter()
    promotion.promote(run, NAME, judge=accept)
    MlflowClient().log_param(run.run_id, "image.fit", "digit")
    with closing(sqlite3.connect("mlflow.db")) as store, store:
        if value is None:
            store.execute("delete from params")
        store.execute("update params set value = ? where key = ?", (value, param.split()[0]))
    start = f"models:/{NAME}/1: the param {param} in its run {run.run_id}; "
    assert work("1").startswith(start)


def test_what_no_commit_holds_is_not_reproducible(ring):
    for tags, says in (
        ({"git_dirty": "true"}, "uncommitted changes"),
        ({"git_commit": ""}, "no commit; no commit holds its code"),
        ({"git_commit": "0" * 40}, "cannot be checked out"),
        ({"data_md5": "e" * 32}, f"trained on data {'e' * 32}, its commit has {'d' * 32}"),
    ):
        assert says in reproduced(promotion.promote(fighter(**tags), NAME, judge=accept).version)


def test_other_split_or_params_than_the_run_says_are_told(ring):
    promotion.promote(fighter(holdout_md5="f" * 32), NAME, judge=accept)
    origin = find_origin(f"models:/{NAME}/1")
    line = finding(IntegrityError, lambda: reproduce.check_inputs(origin, Path()))
    assert line.startswith(
        f"models:/imageproof/1: its holdout split had md5 {'f' * 32}, now it is "
    )
    promotion.promote(fighter(), NAME, judge=accept)
    origin = find_origin(f"models:/{NAME}/2")
    record = run_record("mlp", params=arena.RECORDED | {"seed": 7})
    write_json(WORKSPACE.trained("mlp").run, record.model_dump())
    line = finding(IntegrityError, lambda: reproduce.check_inputs(origin, Path()))
    assert line.endswith("its run says seed = 42, the params.yaml that it recorded gives 7")


def test_what_differs_here_is_named(ring):
    tags = {"python": "2.7.18", "cpu": "Abacus, 1 cores", "cpu_features": "abacus9"}
    tags["lock_md5"] = "0123"
    promotion.promote(fighter(**tags), NAME, judge=accept)
    origin = find_origin(f"models:/{NAME}/1")
    lines = reproduce.environment_differences(origin, threads=1)
    assert lines[0] == "threads: 2 recorded, 1 here"
    assert lines[1] == f"python: 2.7.18 recorded, {platform.python_version()} here"
    assert lines[2].startswith("cpu: Abacus, 1 cores recorded, ")
    assert lines[3].startswith("cpu_features: abacus9 recorded, ")
    assert lines[4].startswith("lock_md5: 0123 recorded, ")


def test_shallow_clone_names_the_cure(ring):
    Path(".git/shallow").write_text(git("rev-parse", "HEAD") + "\n")
    promotion.promote(fighter(git_commit="0" * 40), NAME, judge=accept)
    _, by_gate = commit_origin({"git_commit": "0" * 40, "git_dirty": "false"})
    for line in (reproduced("1"), by_gate):
        assert line.endswith("this clone is shallow: `git fetch --unshallow` brings all commits")
