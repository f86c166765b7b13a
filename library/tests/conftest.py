"""The project that the library's tests work with."""

import os
import shutil
from contextlib import chdir
from pathlib import Path

import arena
import example
import pytest
import small_project
from shared import made_once

from imageproof.base.dataset import Dataset
from imageproof.base.naming import VARIABLE


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """A test of the library has the name of the small project, wherever it works."""
    os.environ[VARIABLE] = example.NAME


@pytest.fixture
def tracked(workspace: Path, migrated: Path) -> Path:
    """A current folder with params.yaml and an MLflow store that holds no run."""
    example.write_params({})
    shutil.copy(migrated, workspace / "mlflow.db")
    return workspace


@pytest.fixture(scope="session")
def prepared(all_processes: Path, images_8x8: Dataset) -> Path:
    """The files of such a project, with hold-out rows to judge the models of `arena` by."""

    def make(folder: Path) -> None:
        folder.mkdir()
        with chdir(folder):
            example.write_project(images_8x8)
            arena.prepare(images_8x8)

    return made_once(all_processes / "example", make)


@pytest.fixture(scope="session")
def template(all_processes: Path) -> Path:
    """The small DVC project as committed, made once."""
    params = example.EXAMPLE.with_name("params.yaml")
    return made_once(all_processes / "library", lambda root: small_project.create(root, params))
