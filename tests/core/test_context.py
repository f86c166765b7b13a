"""Who started a process, by its environment."""

import os
from pathlib import Path

import pytest

from digits.core import context


def test_the_project_lies_where_dvc_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert context.project_root() == tmp_path
    monkeypatch.setenv("DVC_ROOT", "/elsewhere")
    assert context.project_root() == Path("/elsewhere")


def test_a_child_belongs_to_what_is_named_and_to_nothing_of_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = {"DVC_ROOT": "/a", "DVC_EXP_NAME": "wide", "DVC_EXP_BASELINE_REV": "f", "DVC_STAGE": "t"}
    for name, value in {**ours, "PREFECT__FLOW_RUN_ID": "1", "MLFLOW_RUN_ID": "2"}.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    others = before.keys() - {*ours, "PREFECT__FLOW_RUN_ID", "MLFLOW_RUN_ID"}
    assert context.environment() == {name: before[name] for name in others}
    child = context.environment(root=Path("/b"), flow_run="3", parent_run="4")
    monkeypatch.setattr(os, "environ", child)
    assert (context.project_root(), context.flow_run()) == (Path("/b"), "3")
    assert (context.dvc_experiment(), context.take_parent_run()) == ("", "4")
    assert context.take_parent_run() is None
