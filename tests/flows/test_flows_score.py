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


def test_tables_are_scored_on_a_dask_worker_or_here(ring, tmp_path):
    _promotion.promote(fighter(), NAME, judge=accept)
    images = WORKSPACE.read_split("holdout").data.images
    files = [Path(f"in/{number}.npz").resolve() for number in range(4)]
    Path("in").mkdir()
    for file, rows in zip(files, np.array_split(images, 4), strict=True):
        np.savez(file, images=rows)
    with dask(tmp_path / "scheduler", Path()) as scheduler:
        state = score("in", "out/", scheduler=scheduler, return_state=True)
        assert state.message == f"rows: {len(images):,}, by models:/{NAME}/1 → out/"
        assert len(pd.read_parquet("out")) == len(images)
        tasks = {f"score {file}": True for file in files}
        assert tasks_of(state.state_details.flow_run_id) == tasks
        Path("in/bad.npz").write_bytes(b"PK\x03\x04")
        line = failure(score, "in", "out/", scheduler=scheduler, missing=True)
    assert "in/bad.npz: cannot be read as npz" in line
    assert "in/bad.npz" in failure(score, "in", "here/")
    assert len(pd.read_parquet("here")) == len(images)
    line = failure(score, "in", "out.parquet", scheduler="tcp://127.0.0.1:9")
    assert line == "scheduler: needs an output FOLDER/, for one file of each table"
    line = failure(score, "--version", "out.parquet")
    assert line == "digits score (exit 3): --version: not found"
