"""A project that has a champion."""

import shutil
from pathlib import Path

import arena
import mlflow
import pytest
from example import NAME, project_with
from shared import made_once

from imageproof.answer._logged import open_log
from imageproof.answer._monitor import monitor
from imageproof.artifacts import WORKSPACE
from imageproof.registry import _promotion
from imageproof.registry._version import load_version


@pytest.fixture
def champion(workspace, all_processes, migrated, prepared):
    """The address of the champion of a `ring`, whose copies share its files."""

    def make(folder):
        shutil.copytree(prepared, folder)
        shutil.copy(migrated, folder / "mlflow.db")
        arena.enter(folder)
        run = arena.fighter()
        figures = {
            "holdout_rows": 500,
            "holdout_independent_rows": 500,
            "holdout_accuracy": 0.99,
            "holdout_accuracy_lower": 0.977,
            "holdout_accuracy_upper": 0.997,
        }
        mlflow.log_metrics(figures, step=-99, run_id=run.run_id)
        labels = WORKSPACE.read_split("holdout").data.labels
        arena.log_matrix(run.run_id, labels, labels)
        _promotion.promote(run, NAME, judge=arena.accept)

    template = made_once(all_processes / "champion", make)
    left_out = shutil.ignore_patterns("mlartifacts")
    shutil.copytree(template, workspace, dirs_exist_ok=True, ignore=left_out)
    arena.enter(workspace)
    return f"models:/{NAME}/1"


@pytest.fixture
def holdout(champion):
    return WORKSPACE.read_split("holdout").data


@pytest.fixture
def watch():
    """What `imageproof monitor` finds out about the champion, by a project with such changes."""

    def watch(source="log", labels=None, **changes):
        log = open_log(Path(source), days=1)
        with load_version(f"models:/{NAME}@champion", threads=2) as model:
            return monitor(Path(source), log, labels, model, project=project_with(changes))

    return watch
