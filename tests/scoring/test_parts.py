"""Tables scored in parts: here, on a Dask cluster, in an object store; resumed and refused."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from arena import NAME, accept, fighter
from support import changed, finding, findings, until

from digits import params as parameters
from digits.core.artifacts import read_split
from digits.core.errors import DataError, UsageError
from digits.registry import promotion
from digits.registry.served import served
from digits.scoring import whole
from digits.scoring.score import score_file

pytestmark = [pytest.mark.slow]

ROWS = 300  # of a part
MODEL = f"models:/{NAME}@champion"


@pytest.fixture(autouse=True)
def champion(ring, monkeypatch):
    promotion.promote(fighter(), NAME, judge=accept)
    monkeypatch.setattr(whole, "ROWS", ROWS)


@pytest.fixture
def images():
    return read_split("holdout").data.images


def frame(images):
    flat = images.reshape(len(images), -1)
    return pd.DataFrame(flat, columns=[f"pixel{number}" for number in range(flat.shape[1])])


def column(images):
    flat = images.reshape(len(images), -1)
    return pa.table({"image": pa.array([row.tobytes() for row in flat], pa.binary(flat.shape[1]))})


@pytest.fixture
def tables(images):
    """The hold-out's images in five files of as many kinds, in a folder."""
    Path("in/deeper").mkdir(parents=True)
    Path("in/_left_out").write_text("as Spark and Dask do")
    np.savez("in/a.npz", images=images[:700])
    np.savez_compressed("in/b.npz", images=images[700:800])
    frame(images[800:900]).to_csv("in/c.csv", index=False)
    pq.write_table(column(images[900:1600]), "in/d.parquet", row_group_size=200)
    frame(images[1600:]).astype("int64").to_parquet("in/deeper/e.parquet")
    return images


def score(source="in", out="out", scheduler=""):
    params = parameters.check(changed({}))
    with served(MODEL, threads=2) as model:
        return whole.score_parts(source, out, model, params=params, scheduler=scheduler)


def predictions(out="out"):
    manifest = json.loads(Path(out, "_manifest.json").read_text("utf-8"))
    return pd.concat([pd.read_parquet(Path(out, part["file"])) for part in manifest["parts"]])


def test_all_tables_of_a_folder_give_what_one_file_of_all_rows_gives(tables, capsys):
    parts = score()
    assert capsys.readouterr().err.endswith("8 of 8 parts\n")
    np.savez("all.npz", images=tables)
    with served(MODEL, threads=2) as model:
        one = score_file("all.npz", "all.parquet", model, params=parameters.check(changed({})))
    for what in ("rows", "class_counts", "unsure", "drift", "model"):
        assert getattr(parts, what) == getattr(one, what), what
    names = ["predicted", "set_size", "mean_ink", "contrast", *(f"p{k}" for k in range(10))]
    assert np.array_equal(predictions()[names], pd.read_parquet("all.parquet")[names])
    # a reader of the whole folder finds each row once
    assert len(pd.read_parquet("out")) == len(tables)
    ends = predictions().groupby("input", sort=False)["row"].agg(["min", "max"])
    assert [Path(name).name for name in ends.index] == [
        *("a.npz", "b.npz", "c.csv", "d.parquet", "e.parquet")
    ]
    assert ends["max"].tolist() == [699, 99, 99, 699, 196]
    manifest = json.loads(Path("out/_manifest.json").read_text("utf-8"))
    assert [part["span"] for part in manifest["parts"][:4]] == [
        [0, 300],
        [300, 600],
        [600, 700],
        None,
    ]
    assert manifest["result"]["rows"] == len(tables)


def test_what_is_finished_is_kept_and_what_changed_is_computed_anew(tables):
    score()
    assert score().parts == (8, 8)
    first = predictions()
    manifest = json.loads(Path("out/_manifest.json").read_text("utf-8"))
    damaged, recordless = (part["file"] for part in manifest["parts"][:2])
    Path("out", damaged).write_bytes(b"PAR1 and no more")
    key = recordless.removeprefix("part-").removesuffix(".parquet")
    Path("out/_parts", f"{key}.json").write_text("{}")
    np.savez_compressed("in/b.npz", images=tables[:100])
    assert score().parts == (8, 5)
    names = {path.name for path in Path("out").glob("*.parquet")}
    assert len(names) == 8  # that of the old b.npz is gone
    again = predictions()
    assert np.array_equal(again["p0"][:700], first["p0"][:700])
    assert len(again) == len(first)
    promotion.promote(fighter(1), NAME, judge=accept)
    assert score().parts == (8, 0)
    assert set(pd.read_parquet("out")["model"]) == {"models:/digits/2"}


def test_files_of_others_in_the_folder_are_left_though_they_are_named_alike(tables):
    Path("out/_parts").mkdir(parents=True)
    names = ("part-00000-4f2a-c000.snappy.parquet", f"part-{'a' * 32}.parquet", "_parts/notes.json")
    for name in names:
        Path("out", name).write_text("somebody's")
    score()
    np.savez_compressed("in/b.npz", images=tables[:100])
    score()  # deletes the part of the old b.npz
    assert {Path("out", name).read_text() for name in names} == {"somebody's"}
    assert len([*Path("out").glob("part-*.parquet")]) == 8 + 2


def test_each_file_that_cannot_be_read_is_a_line_and_the_others_are_finished(tables):
    frame(tables[:5]).replace({"pixel3": {0: 256}}).to_csv("in/bad.csv", index=False)
    lines = findings(DataError, score)
    assert lines == [
        f"{Path('in/bad.csv').resolve()}:2 column pixel3: '256' is no whole number 0..255"
    ]
    assert not Path("out/_manifest.json").exists()
    Path("in/bad.csv").unlink()
    assert score().parts == (8, 8)


def test_places_that_do_not_go_together_are_told_in_one_line(tables):
    assert "lie in each other" in finding(UsageError, lambda: score(out="in/out"))
    Path("taken").touch()
    assert "taken is a file" in finding(UsageError, lambda: score(out="taken"))
    assert "not found" in finding(DataError, lambda: score("nowhere"))
    lines = findings(UsageError, lambda: score(scheduler="tcp://elsewhere:8786"))
    assert [line.partition(":")[0] for line in lines] == ["INPUT", "--out", "MLFLOW_TRACKING_URI"]


class Cluster:
    """A scheduler and two workers, whose folders nobody shares."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.processes = folder, {}
        port_file = folder / "scheduler.json"
        self.start("scheduler", "--port", "0", "--scheduler-file", port_file)
        assert until(lambda: port_file.exists() and port_file.read_text().endswith("}"), seconds=60)
        self.address = json.loads(port_file.read_text())["address"]
        for name in ("worker-0", "worker-1"):
            self.start(name, self.address, "--nthreads", "1", "--no-nanny")

    def start(self, name, *arguments):
        own = self.folder / name
        own.mkdir(exist_ok=True)
        dask = (Path(sys.executable).with_name("dask"), name.partition("-")[0], *arguments)
        command = [*map(str, dask), "--host", "127.0.0.1", "--no-dashboard"]
        with (own / "log").open("ab") as log:
            self.processes[name] = psutil.Popen(command, cwd=own, stdout=log, stderr=log)

    def end(self):
        for process in self.processes.values():
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path_factory) -> Iterator[Cluster]:
    started = Cluster(tmp_path_factory.mktemp("cluster"))
    yield started
    started.end()


@pytest.fixture
def bucket(team, monkeypatch) -> Iterator[str]:
    """A folder in an S3 server, which this process and those that it starts reach."""
    team.start("s3")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        monkeypatch.setenv(name, team.env[name])
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    address = f"s3://digits/test-{os.getpid()}"
    yield address
    filesystem, name = fsspec.url_to_fs(address)
    filesystem.rm(name, recursive=True)


def test_workers_without_a_shared_folder_score_a_bucket_though_killed_and_stopped(
    tables, bucket, cluster, monkeypatch
):
    monkeypatch.setattr(whole, "ROWS", 100_000)  # as in the command
    filesystem, name = fsspec.url_to_fs(bucket)
    filesystem.put("in/", f"{name}/in", recursive=True)
    score()
    expected = predictions()
    out = f"{bucket}/out"
    command = [Path(sys.executable).with_name("digits"), "score", f"{bucket}/in"]
    command += ["--out", out, "--scheduler", cluster.address]
    cluster.processes["worker-1"].suspend()  # its parts are left when it dies
    with Path("log").open("w") as log:
        started = subprocess.Popen(command, stderr=log, stdout=log)
    assert until(lambda: "of 5 parts" in Path("log").read_text(), seconds=120), Path(
        "log"
    ).read_text()
    started.send_signal(signal.SIGKILL)
    started.wait()
    cluster.processes["worker-1"].kill()
    result = score(f"{bucket}/in", out, cluster.address)
    assert result.parts is not None
    assert result.parts.kept >= 1
    filesystem.get(f"{name}/out", "back", recursive=True)
    found = predictions("back").drop(columns="input").reset_index(drop=True)
    assert found.equals(expected.drop(columns="input").reset_index(drop=True))
    assert score(f"{bucket}/in", out).parts == (5, 5)
