"""Scoring files and folders with the versions of a real registry."""

import os
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pytest
from arena import accept, fighter, promote
from example import NAME, context, write_params
from helpers import finding, findings, git
from PIL import Image

from imageproof.answer import _score as scoring
from imageproof.artifacts import WORKSPACE
from imageproof.base.errors import BusyError, DataError, UsageError
from imageproof.cli import _answers as cli
from imageproof.data.readers._cells import pixel_names
from imageproof.registry._version import load_version
from imageproof.system import _storage

EXISTS = "exists; choose another name, or --overwrite (--missing keeps it) a table"


def score(source="new.npz", out="scored.parquet", *, coverage=0.99, **options):
    with load_version(f"models:/{NAME}@champion", threads=2) as model:
        return scoring.score(source, out, model, coverage=coverage, **options)


def refusal(error, *arguments, **options):
    return finding(error, score, *arguments, **options)


@pytest.fixture
def holdout(holdout):
    """The hold-out, as new.npz, too."""
    np.savez("new.npz", images=holdout.images)
    return holdout


def test_predictions(ring):
    names = [f"<{label}>" for label in range(10)]
    write_params({"data.class_names": names})
    promote(fighter(), accept)
    holdout = WORKSPACE.read_split("holdout").data
    np.savez("new.npz", images=holdout.images)
    lines = scoring.lines(score())
    assert lines == ["rows: 1,797, by models:/imageproof/1 → scored.parquet"]
    table = pd.read_parquet("scored.parquet")
    assert table["row"].tolist() == [*range(len(holdout))]
    assert {*table["set_size"]} == {1}
    assert ({*table["model"]}, {*table["input"]}) == ({"models:/imageproof/1"}, {"new.npz"})
    # the version has 100 validation rows: too few to promise more than 100 of 101
    score(coverage=0.995, overwrite=True)
    table = pd.read_parquet("scored.parquet")
    assert ({*table["set_size"]}, {*table["coverage"]}) == ({10}, {0.995})
    assert [labels[0] for labels in table["answer_set"]] == table["predicted"].tolist()
    assert table["predicted_name"].tolist() == [names[label] for label in holdout.labels]
    assert [names.index(name) for name in table["answer_names"][7]] == [*table["answer_set"][7]]


def test_file_of_user_is_never_replaced(holdout):
    Path("mine.parquet").write_text("kept")
    Path("to-mine.parquet").symlink_to("mine.parquet")
    Path("link").symlink_to(".dvc")
    Path("nothing.parquet").symlink_to("nowhere")
    os.mkfifo("pipe.parquet")
    for out in ("mine", "to-mine", "link/new", "nothing", "pipe", ".git/new"):
        line = refusal(UsageError, out=f"{out}.parquet", overwrite=True)
        assert line.startswith(f"--out {out}.parquet: ")
    assert Path("mine.parquet").read_text() == "kept"
    fsspec.filesystem("memory").pipe("/kept.parquet", b"kept")
    for out in (f"file://{Path.cwd()}/mine.parquet", "memory://kept.parquet"):
        assert refusal(UsageError, out=out).startswith(f"--out {out}: {EXISTS}")
    with _storage.writing("new.parquet"):
        assert "is writing it" in refusal(BusyError, out="new.parquet")
    for out in ("", "simplecache::file:///x", "x.csv", "s3://bucket/x.csv"):
        assert refusal(UsageError, out=out).startswith(f"--out {out!r}: FILE.parquet, ")


def test_overwrite_replaces_only_what_score_wrote(holdout):
    score()
    assert EXISTS in refusal(UsageError)
    assert "give one" in refusal(UsageError, missing=True, overwrite=True)
    assert score(overwrite=True).rows == len(holdout)
    table = pd.read_parquet("scored.parquet")
    table.assign(checked_by="me").to_parquet("mine.parquet")
    assert EXISTS in refusal(UsageError, out="mine.parquet", overwrite=True)
    table.drop(columns="input").to_parquet("older.parquet")
    assert EXISTS in refusal(UsageError, out="older.parquet", missing=True)
    git("add", "scored.parquet")
    Path("link.parquet").symlink_to("scored.parquet")
    for out in ("scored.parquet", "link.parquet"):
        line = refusal(UsageError, out=out, overwrite=True)
        assert line == f"--out {out}: git tracks it; choose another name"


@pytest.fixture
def tables(holdout):
    """The images of the folder `in`, which has three tables of them."""
    images = holdout.images
    flat = images.reshape(len(images), -1)
    frame = pd.DataFrame(flat, columns=pixel_names(64))
    Path("in/deeper").mkdir(parents=True)
    Path("in/_left_out").write_text("as Spark and Dask do")
    np.savez("in/a.npz", images=images[:700])
    frame[700:900].to_csv("in/c.csv", index=False)
    frame[900:].to_parquet("in/deeper/e.parquet")
    return images


def test_tables_are_scored_as_one_of_all_rows_but_bad_ones(tables):
    bad = [Path("in", name).resolve() for name in ("bad.csv", "worse.npz")]
    for path in bad:
        path.write_bytes(b"PK\x03\x04")
    lines = findings(DataError, score, "in", "out/")
    assert [line.partition(":")[0] for line in lines] == [*map(str, bad)]
    for path in bad:
        path.unlink()
    parts = score("in", "out/", missing=True)
    line = "rows: 0, by models:/imageproof/1 → out/, kept 3 of 3 files"
    assert scoring.lines(parts) == [line]
    np.savez("all.npz", images=tables)
    score("all.npz")
    paths = ["out/a.parquet", "out/c.parquet", "out/deeper/e.parquet"]
    scored = pd.concat(map(pd.read_parquet, paths))
    names = ["predicted", "set_size", *(f"p{k}" for k in range(10))]
    assert np.array_equal(scored[names], pd.read_parquet("scored.parquet")[names])


def test_missing_keeps_tables_and_names_those_of_another_kind(tables):
    score()
    assert score(missing=True).warnings == []
    for source, coverage in (("new.npz", 0.9), ("in/a.npz", 0.99)):
        [warning] = score(source, coverage=coverage, missing=True).warnings
        assert warning.startswith("kept files such as scored.parquet, 1 in all, are by ")
    score("in", "out/", missing=True)
    stamp = Path("out/a.parquet").stat().st_mtime_ns
    promote(fighter(1), accept)
    np.savez("in/deeper/f.npz", images=tables[:10])
    result = score("in", "out/", missing=True)
    assert (result.files, result.kept, result.rows) == (4, 3, 10)
    assert result.model == "models:/imageproof/2"
    [warning] = result.warnings
    assert warning.startswith(
        f"kept files such as {Path('out/a.parquet').resolve()}, 3 in all, are by "
    )
    assert Path("out/a.parquet").stat().st_mtime_ns == stamp


def test_output_among_inputs(tables):
    Path("around").mkdir()
    Path("around/link").symlink_to("../in")
    line = refusal(UsageError, "in", "around/link/x/")
    assert line == "--out: around/link/x/ is among the inputs; choose another folder"
    np.savez("in/c.npz", images=tables[:10])
    assert "c.csv and " in refusal(UsageError, "in", "out/")


def test_a_store_is_read_and_written(tables):
    store = fsspec.filesystem("memory")
    store.put("in/", "/tables", recursive=True)
    assert score("memory://tables", "memory://out").files == 3
    assert "//out/a.parquet: exists; " in refusal(UsageError, "memory://tables", "memory://out/")
    store.get("/out/", "back", recursive=True)
    assert len(pd.read_parquet("back")) == len(tables)
    store.pipe("/new/a.png", b"no picture")
    line = refusal(DataError, "memory:///new")
    assert line.startswith("memory:///new/a.png: no PNG, JPEG, WebP or BMP")


def test_predict_explains(champion, capsys):
    Image.new("L", (8, 8)).save("a.png")
    cli.predict(context(), [Path("a.png")], explain=Path("why.png"))
    assert capsys.readouterr().out.endswith("\nwhy.png: what speaks for each answer\n")
    assert Path("why.png").exists()
