"""The flow `score` on a Dask worker, which shares the folder, and on none."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from arena import accept, fighter
from deployed import failure, tasks_of
from services import dask
from support import NAME

from imageproof.artifacts import WORKSPACE
from imageproof.registry import _promotion
from score import score

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]


@pytest.fixture
def tables(ring):
    """Four files in the folder `in`, and a champion; returns the number of rows."""
    _promotion.promote(fighter(), NAME, judge=accept)
    images = WORKSPACE.read_split("holdout").data.images
    Path("in").mkdir()
    for number, some in enumerate(np.array_split(images, 4)):
        np.savez(f"in/{number}.npz", images=some)
    return len(images)


def test_score_on_a_dask_worker(tables, tmp_path):
    with dask(tmp_path / "scheduler", Path()) as scheduler:
        state = score("in", "out/", scheduler=scheduler, return_state=True)
        assert state.is_completed(), state.message
        assert str(state.message).startswith(f"{tables:,} rows by models:/{NAME}/1 ")
        assert len(pd.read_parquet("out")) == tables
        tasks = {f"score {Path(f'in/{n}.npz').resolve()}": True for n in range(4)}
        assert tasks_of(state.state_details.flow_run_id) == tasks
        Path("in/bad.npz").write_bytes(b"PK\x03\x04")
        line = failure(score, "in", "out/", scheduler=scheduler, missing=True)
    assert "in/bad.npz: cannot be read as npz" in line


def test_score_on_this_machine(tables):
    state = score("in", "out/", return_state=True)
    assert state.message == f"{tables:,} rows by models:/{NAME}/1 → out/"
    line = failure(score, "in", "out.parquet", scheduler="tcp://127.0.0.1:9")
    assert line == "scheduler: needs an output FOLDER/, for one file of each table"
    line = failure(score, "--version", "out.parquet")
    assert line == "digits score (exit 3): --version: not found"
