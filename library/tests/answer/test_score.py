"""Scoring files and folders with the versions of a real registry."""

import os
from dataclasses import replace
from pathlib import Path

import fsspec
import mlflow
import numpy as np
import pandas as pd
import pytest
from arena import accept, fighter, promote
from example import NAME, context, project_with
from helpers import finding, findings, git
from mlflow import MlflowClient
from PIL import Image

from imageproof.answer import _score as scoring
from imageproof.answer._drift import image_stats
from imageproof.artifacts import WORKSPACE
from imageproof.base.errors import DataError, UsageError
from imageproof.cli import _answers as cli
from imageproof.cli._console import score_lines
from imageproof.registry._version import load_version

# of these `score` wrote none
USERS = ["params.yaml", "dvc.lock", ".git/HEAD", ".dvc/config", "mlflow.db", "data.dvc", "mine.csv"]
USERS += ["README.md", "to-params"]
EXISTS = "exists; choose another name, or --overwrite (--missing keeps it) a table"


def score(source="new.npz", out="scored.parquet", *, changes=None, **options):
    project = project_with(changes or {})
    with load_version(f"models:/{NAME}@champion", threads=2) as model:
        return scoring.score(source, out, model, project=project, **options)


def refusal(error, *arguments, **options):
    return finding(error, score, *arguments, **options)


@pytest.fixture
def holdout(holdout):
    """The hold-out, as new.npz, too."""
    np.savez("new.npz", images=holdout.images)
    return holdout


def test_predictions_and_run(holdout):
    result = score()
    table = pd.read_parquet("scored.parquet")
    assert table["row"].tolist() == [*range(len(holdout))]
    assert table["predicted"].tolist() == holdout.labels.tolist()
    assert {*table["set_size"]} == {1}
    for name, values in image_stats(holdout.images).items():
        assert np.array_equal(table[name], values)
    assert ({*table["model"]}, {*table["input"]}) == ({"models:/imageproof/1"}, {"new.npz"})
    assert result.class_counts == np.bincount(holdout.labels).tolist()
    drift = {comparison.name: comparison.drifted for comparison in result.drift}
    # the marks of the arena are brighter than any ink
    assert drift == {"mean_ink": drift["mean_ink"], "contrast": True, "class_shares": False}
    [run] = mlflow.search_runs(experiment_names=["imageproof-scoring"], output_format="list")
    assert run.data.metrics["rows"] == len(holdout)
    assert run.data.tags["imageproof.answered_by"] == "models:/imageproof/1"
    assert "drift_class_shares_effect" in run.data.metrics
    counts = {"class_names": [*map(str, range(12))], "class_counts": [2, *[0] * 10, 1]}
    assert "predicted: 0 2, 11 1" in score_lines(replace(result, **counts))


def test_unsure_answers_and_names_of_classes(holdout):
    names = [f"<{label}>" for label in range(10)]
    # the version has 100 validation rows: too few to promise more than 100 of 101
    result = score(changes={"confidence.coverage": 0.995, "data.class_names": names})
    assert (result.coverage, result.unsure, result.class_names) == (0.995, 1, names)
    table = pd.read_parquet("scored.parquet")
    assert {*table["set_size"]} == {10}
    assert [labels[0] for labels in table["answer_set"]] == table["predicted"].tolist()
    assert table["predicted_name"].tolist() == [names[label] for label in holdout.labels]
    assert [names.index(name) for name in table["answer_names"][7]] == [*table["answer_set"][7]]
    [warning] = [line for line in result.warnings if "coverage" in line]
    assert "coverage 0.995 needs 199 validation rows, there are 100; " in warning


def test_file_of_user_is_never_replaced(holdout):
    for name in USERS[:-1]:
        Path(name).parent.mkdir(exist_ok=True)
        if not Path(name).exists():
            Path(name).write_text("kept", encoding="utf-8")
    Path("to-params").symlink_to("params.yaml")
    Path("link").symlink_to(".dvc")
    Path("nothing.parquet").symlink_to("nowhere")
    os.mkfifo("pipe")
    contents = {out: Path(out).read_bytes() for out in USERS}
    for out in USERS:
        assert refusal(UsageError, out=out, overwrite=True).startswith(f"--out {out}: ")
    assert {out: Path(out).read_bytes() for out in USERS} == contents
    fsspec.filesystem("memory").pipe("/kept.csv", b"kept")
    for out in (f"file://{Path.cwd()}/mine.csv", "memory://kept.csv"):
        assert refusal(UsageError, out=out).startswith(f"--out {out}: {EXISTS}")
    for out in ("link/new.parquet", "nothing.parquet", "pipe"):
        assert f"--out {out}: " in refusal(UsageError, out=out)
    for out in ("", "simplecache::file:///x"):
        assert refusal(UsageError, out=out).startswith(f"--out {out!r}: FILE, ")


def test_overwrite_replaces_only_what_score_wrote(holdout):
    score()
    assert EXISTS in refusal(UsageError)
    assert "give one" in refusal(UsageError, missing=True, overwrite=True)
    assert score(overwrite=True).rows == len(holdout)
    table = pd.read_parquet("scored.parquet")
    assert table["predicted_name"].tolist() == [*map(str, table["predicted"])]
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
    frame = pd.DataFrame(flat, columns=[f"pixel{number}" for number in range(64)])
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
    assert (parts.files, parts.kept, parts.rows_per_s) == (3, 3, None)
    runs = mlflow.search_runs(experiment_names=["imageproof-scoring"], output_format="list")
    assert "rows_per_s" not in runs[0].data.metrics
    assert not any(" rows/s" in str(line) for line in score_lines(parts))
    np.savez("all.npz", images=tables)
    one = score("all.npz")
    for name in ("rows", "class_counts", "unsure", "drift", "model"):
        assert getattr(parts, name) == getattr(one, name), name
    paths = ["out/a.parquet", "out/c.parquet", "out/deeper/e.parquet"]
    scored = pd.concat(map(pd.read_parquet, paths))
    names = ["predicted", "set_size", "mean_ink", "contrast", *(f"p{k}" for k in range(10))]
    assert np.array_equal(scored[names], pd.read_parquet("scored.parquet")[names])


def test_missing_counts_one_version(tables):
    score("in", "out/", missing=True)
    stamp = Path("out/a.parquet").stat().st_mtime_ns
    promote(fighter(1), accept)
    line = refusal(DataError, "in", "out/", missing=True)
    assert "models:/imageproof/2 answered no row of it" in line
    np.savez("in/deeper/f.npz", images=tables[:10])
    result = score("in", "out/", missing=True)
    assert (result.files, result.kept, result.rows) == (4, 3, 10)
    assert result.model == "models:/imageproof/2"
    assert result.warnings[0].startswith(f"{len(tables):,} rows of kept tables by other versions, ")
    assert Path("out/a.parquet").stat().st_mtime_ns == stamp


def test_kept_table_of_another_input_or_coverage_is_refused(holdout):
    score()
    options = {"missing": True, "changes": {"confidence.coverage": 0.9}}
    assert "answered no row of it for this " in refusal(DataError, **options)
    np.savez("tuesday.npz", images=holdout.images[:10])
    line = refusal(DataError, "tuesday.npz", missing=True)
    assert line.startswith("scored.parquet: models:/imageproof/1 answered no row of it for ")
    kept = score(missing=True)
    assert kept.rows == len(holdout)
    assert "kept from before: 1 of 1 files" in score_lines(kept)


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


def test_pictures_are_converted_as_recorded(ring, capsys):
    run = fighter()
    MlflowClient().log_param(run.run_id, "image.fit", "digit")
    promote(run, accept)
    Path("new").mkdir()
    for row, image in enumerate(WORKSPACE.read_split("holdout").data.images[:20]):
        Image.fromarray(image).save(f"new/{row:02}.png")
    large = np.zeros((40, 40), np.uint8)
    large[5:30, 10:14] = 255
    Image.fromarray(large).save("new/large.png")
    store = fsspec.filesystem("memory")
    store.put("new/", "/new", recursive=True)
    store.pipe("/new/1/00.png", b"no picture")
    score("memory:///new/")
    treatments = pd.read_parquet("scored.parquet")["picture"].value_counts()
    assert dict(treatments) == {"as is": 20, "digit": 1}
    store.pipe("/new/00.png", b"no picture")
    line = refusal(DataError, "memory:///new", out="other.parquet")
    assert line.startswith("memory:///new/00.png: no PNG, JPEG, WebP or BMP")
    cli.predict(context(), [Path("new/00.png")], explain=Path("why.png"))
    assert capsys.readouterr().out.endswith("\nwhy.png: what speaks for each answer\n")
    assert Path("why.png").exists()
