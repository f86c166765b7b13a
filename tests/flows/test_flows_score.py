"""The flow `score` on Dask workers, which share a folder, and none."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from arena import NAME, accept, fighter, prepare
from support import until, write_project

from digits.core.artifacts import read_split
from digits.core.dataset import Dataset
from digits.params import Params
from digits.registry import promotion
from digits.tracking import store
from flows.score import score

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]


@pytest.fixture
def tables(tracked: Path, digits_8x8: Dataset, small_params: Params) -> int:
    """Four files in the folder `in`, and a champion; returns the number of rows."""
    write_project(digits_8x8, small_params)
    prepare(digits_8x8)
    store.connect()
    promotion.promote(fighter(), NAME, judge=accept)
    images = read_split("holdout").data.images
    Path("in").mkdir()
    for number, some in enumerate(np.array_split(images, 4)):
        np.savez(f"in/{number}.npz", images=some)
    return len(images)


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[str]:
    """The address of a Dask scheduler with two workers."""
    file, dask = tmp_path / "scheduler.json", str(Path(sys.executable).with_name("dask"))
    local = ("--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(file))
    started = [subprocess.Popen([dask, "scheduler", "--port", "0", *local])]
    assert until(lambda: file.exists() and file.read_text().endswith("}"), seconds=60)
    worker = [dask, "worker", *local, "--nthreads", "1", "--no-nanny"]
    started += [subprocess.Popen(worker) for _ in range(2)]
    yield json.loads(file.read_text())["address"]
    for process in started:
        process.kill()
        process.wait()


def test_each_table_is_scored_on_a_worker(tables: int, scheduler: str) -> None:
    state = score("in", "out/", scheduler=scheduler, return_state=True)
    assert state.is_completed(), state.message
    assert str(state.message).startswith(f"{tables:,} rows; drifted: ")
    assert len(pd.read_parquet("out")) == tables
    Path("in/bad.npz").write_bytes(b"PK\x03\x04")
    state = score("in", "out/", scheduler=scheduler, return_state=True)
    assert state.is_failed()
    assert "in/bad.npz: cannot be read as npz" in str(state.message)


def test_scheduler_that_does_not_answer_is_one_line(tables: int) -> None:
    state = score("in", "out/", scheduler="tcp://127.0.0.1:9", return_state=True)
    assert state.is_failed()
    assert str(state.message).startswith("scheduler: tcp://127.0.0.1:9: ")
    state = score("in", "out.parquet", scheduler="tcp://127.0.0.1:9", return_state=True)
    assert state.message == "scheduler: needs an output FOLDER/, for one file of each table"
