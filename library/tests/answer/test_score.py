"""Scoring files and folders with the versions of a real registry."""

import os
from pathlib import Path

import fsspec
import mlflow
import numpy as np
import pandas as pd
import pytest
from arena import accept, fighter
from example import NAME, context, project_with
from helpers import finding, findings, git
from mlflow import MlflowClient
from PIL import Image

from imageproof.answer import score as scoring
from imageproof.answer.drift import image_stats
from imageproof.answer.predict import set_threshold
from imageproof.artifacts import WORKSPACE
from imageproof.base.errors import DataError, UsageError
from imageproof.cli import answers as cli
from imageproof.cli.console import print_scored
from imageproof.judge.confidence import answer_sets
from imageproof.registry import promotion
from imageproof.registry.version import load_version

USERS = ["params.yaml", "dvc.lock", ".git/HEAD", ".dvc/config", "mlflow.db", "data.dvc", "mine.csv"]
USERS += ["README.md", "to-params"]


def score(source="new.npz", out="scored.parquet", *, changes=None, **options):
    project = project_with(changes or {})
    with load_version(f"models:/{NAME}@champion", threads=2) as model:
        return scoring.score(source, out, model, project=project, **options)


def kept(*arguments):
    """How many files there are in the end, and how many of them were kept."""
    scored = score(*arguments, missing=True)
    return scored.files, scored.kept


def scored_probabilities():
    return pd.read_parquet("scored.parquet").filter(regex="^p[0-9]").to_numpy()


def treatments():
    return dict(pd.read_parquet("scored.parquet")["picture"].value_counts())


@pytest.fixture
def champion(ring):
    promotion.promote(fighter(), NAME, judge=accept)


@pytest.fixture
def users(ring):
    """Nine files that `score` did not write, a link, and others that it may not write to."""
    for name in USERS:
        Path(name).parent.mkdir(exist_ok=True)
        if not Path(name).exists():
            Path(name).write_text("kept", encoding="utf-8")
    Path("to-params").unlink()
    Path("to-params").symlink_to("params.yaml")
    Path("link").symlink_to(".dvc")
    Path("nothing.parquet").symlink_to("nowhere")
    os.mkfifo("pipe")


@pytest.fixture
def holdout(champion):
    """The hold-out, as new.npz."""
    holdout = WORKSPACE.read_split("holdout").data
    np.savez("new.npz", images=holdout.images)
    return holdout


class TestFile:
    def test_wrong_input(self, champion):
        np.savez("new.npz", images=np.zeros((3, 9, 9), np.uint8))
        assert finding(DataError, score).startswith("new.npz: uint8 (3, 9, 9); the model takes")
        assert not Path("scored.parquet").exists()

    def test_predictions_and_run(self, holdout):
        scored = score()
        found = pd.read_parquet("scored.parquet")
        with load_version(f"models:/{NAME}@champion", threads=2) as model:
            expected = model.predict(holdout.images)
            sets = answer_sets(expected, set_threshold(model, 0.99))
        assert found["row"].tolist() == [*range(len(holdout))]
        assert found["predicted"].tolist() == holdout.labels.tolist()
        assert np.allclose(scored_probabilities(), expected, atol=1e-6)
        assert found["set_size"].tolist() == sets.sum(axis=1).tolist()
        for name, values in image_stats(holdout.images).items():
            assert np.array_equal(found[name], values)
        assert (set(found["model"]), set(found["input"])) == ({"models:/imageproof/1"}, {"new.npz"})
        assert scored.class_counts == np.bincount(holdout.labels).tolist()
        [run] = mlflow.search_runs(experiment_names=["imageproof-scoring"], output_format="list")
        assert run.data.metrics["rows"] == len(holdout)
        assert run.data.tags["imageproof.answered_by"] == "models:/imageproof/1"
        assert "drift_class_shares_effect" in run.data.metrics

    def test_unsure(self, holdout, capsys):
        scored = score()
        assert (scored.coverage, scored.unsure) == (0.99, 0)
        # the version has 100 validation rows: too few to promise more than 100 of 101
        scored = score(changes={"confidence.coverage": 0.995}, overwrite=True)
        assert (scored.coverage, scored.unsure) == (0.995, 1)
        assert set(pd.read_parquet("scored.parquet")["set_size"]) == {10}
        print_scored(scored, as_json=False)
        printed = " ".join(capsys.readouterr().out.split())
        assert "100.00 % unsure, by answer sets with 99.5 % coverage" in printed
        assert "coverage 0.995 needs 199 validation rows, there are 100; validate on" in printed

    def test_drift(self, holdout):
        drift = {found.name: found for found in score().drift}
        assert set(drift) == {"mean_ink", "contrast", "class_shares"}
        assert drift["contrast"].drifted  # the marks of the arena are brighter than any ink
        assert not drift["class_shares"].drifted
        with WORKSPACE.split("train").open("ab") as file:
            file.write(b"0")
        assert score(overwrite=True).drift == []

    def test_file_of_user_is_never_replaced(self, holdout, users):
        contents = {out: Path(out).read_bytes() for out in USERS}
        for out in USERS:
            for mode in ({}, {"overwrite": True}, {"missing": True}):
                line = finding(UsageError, lambda out=out, mode=mode: score(out=out, **mode))
                assert line.startswith(f"--out {out}: ")
        assert {out: Path(out).read_bytes() for out in USERS} == contents
        here = Path.cwd()
        for out in (f"file://{here}/mine.csv", f"../{here.name}/mine.csv", "memory://kept.csv"):
            fsspec.filesystem("memory").pipe("/kept.csv", b"kept")
            line = finding(UsageError, lambda out=out: score(out=out))
            assert line.startswith(f"--out {out}: exists; choose another name, or --overwrite ")
        for out in (".git/new.parquet", "link/new.parquet", "/dev/null", "nothing.parquet", "pipe"):
            assert f"--out {out}: " in finding(UsageError, lambda out=out: score(out=out))

    def test_overwrite_replaces_only_what_score_wrote(self, holdout):
        score()
        line = finding(UsageError, score)
        assert line.startswith("--out scored.parquet: exists; choose another name, or --overwrite ")
        assert score(overwrite=True).rows == len(holdout)
        scored = pd.read_parquet("scored.parquet")
        scored.assign(checked_by="me").to_parquet("mine.parquet")
        finding(UsageError, lambda: score(out="mine.parquet", overwrite=True))
        git("add", "scored.parquet")
        line = finding(UsageError, lambda: score(overwrite=True))
        assert line == "--out scored.parquet: git tracks it; choose another name"
        Path("link.parquet").symlink_to("scored.parquet")
        line = finding(UsageError, lambda: score(out="link.parquet", overwrite=True))
        assert line == "--out link.parquet: git tracks it; choose another name"

    def test_answer_sets_and_names(self, holdout):
        score(changes={"confidence.coverage": 0.995})
        found = pd.read_parquet("scored.parquet")
        assert not {"predicted_name", "answer_names"} & {*found}
        assert [sets[0] for sets in found["answer_set"]] == found["predicted"].tolist()
        assert all(sorted(labels) == [*range(10)] for labels in found["answer_set"])
        names = [f"<{label}>" for label in range(10)]
        scored = score(changes={"data.class_names": names}, overwrite=True)
        found = pd.read_parquet("scored.parquet")
        expected = [names[label] for label in holdout.labels]
        assert found["predicted_name"].tolist() == expected
        assert [[*each] for each in found["answer_names"]] == [[name] for name in expected]
        assert scored.class_names == names


class TestFolder:
    @pytest.fixture
    def tables(self, champion):
        images = WORKSPACE.read_split("holdout").data.images
        flat = images.reshape(len(images), -1)
        frame = pd.DataFrame(flat, columns=[f"pixel{number}" for number in range(64)])
        Path("in/deeper").mkdir(parents=True)
        Path("in/_left_out").write_text("as Spark and Dask do")
        np.savez("in/a.npz", images=images[:700])
        frame[700:900].to_csv("in/c.csv", index=False)
        frame[900:].to_parquet("in/deeper/e.parquet")
        return images

    def test_files_are_scored_as_one_of_all_rows(self, tables):
        parts = score("in", "out/")
        np.savez("all.npz", images=tables)
        one = score("all.npz")
        for what in ("rows", "class_counts", "unsure", "drift", "model"):
            assert getattr(parts, what) == getattr(one, what), what
        names = ["predicted", "set_size", "mean_ink", "contrast", *(f"p{k}" for k in range(10))]
        files = ["out/a.parquet", "out/c.parquet", "out/deeper/e.parquet"]
        found = pd.concat(map(pd.read_parquet, files))
        assert np.array_equal(found[names], pd.read_parquet("scored.parquet")[names])
        assert len(pd.read_parquet("out")) == len(tables)

    def test_missing_keeps_what_is_there(self, tables):
        assert kept("in", "out/") == (3, 0)
        stamp = Path("out/a.parquet").stat().st_mtime_ns
        np.savez("in/deeper/f.npz", images=tables[:10])
        again = score("in", "out/", missing=True)
        assert (again.files, again.kept, again.rows) == (4, 3, len(tables) + 10)
        assert Path("out/a.parquet").stat().st_mtime_ns == stamp

    def test_missing_counts_rows_of_this_version(self, tables):
        score("in", "out/")
        np.savez("in/deeper/f.npz", images=tables[:10])
        promotion.promote(fighter(1), NAME, judge=accept)
        again = score("in", "out/", missing=True)
        assert (again.model, again.rows) == ("models:/imageproof/2", 10)
        Path("out/deeper/f.parquet").unlink()
        Path("in/deeper/f.npz").unlink()
        line = finding(DataError, lambda: score("in", "out/", missing=True))
        assert "models:/imageproof/2 answered no row of it" in line

    def test_bad_files(self, tables):
        Path("in/bad.csv").write_text("pixel0\n")
        Path("in/worse.npz").write_bytes(b"PK\x03\x04")
        lines = findings(DataError, lambda: score("in", "out/"))
        assert [line.partition(":")[0] for line in lines] == [
            str(Path("in", name).resolve()) for name in ("bad.csv", "worse.npz")
        ]
        assert len([*Path("out").rglob("*.parquet")]) == 3
        for name in ("bad.csv", "worse.npz"):
            Path("in", name).unlink()
        assert kept("in", "out/") == (3, 3)

    def test_output_among_inputs(self, tables):
        Path("around").mkdir()
        Path("around/link").symlink_to("../in")
        for out in ("in/out/", "in", "around/link/x/"):
            line = finding(UsageError, lambda out=out: score("in", out))
            assert line == f"--out: {out} is among the inputs; choose another folder"
        np.savez("in/c.npz", images=tables[:10])
        assert "c.csv and " in finding(UsageError, lambda: score("in", "out/"))
        assert "not found" in finding(DataError, lambda: score("nowhere", "out/"))

    @pytest.mark.parametrize("out", ["s3://", "", "\udcff.parquet", "simplecache::file:///x"])
    def test_output_without_address(self, out, champion):
        line = finding(UsageError, lambda: score("in", out))
        assert line.startswith(f"--out {out!r}: FILE, ")

    def test_a_store_is_read_and_written(self, tables):
        store = fsspec.filesystem("memory")
        store.put("in/", "/tables", recursive=True)
        assert kept("memory://tables", "memory://out") == (3, 0)
        assert kept("memory://tables", "memory://out/") == (3, 3)
        line = finding(UsageError, lambda: score("memory://tables", "memory://out/"))
        assert "a.parquet: exists; " in line
        store.get("/out/", "back", recursive=True)
        assert len(pd.read_parquet("back")) == len(tables)


class TestPictures:
    """PNG files through both commands, and the record of the version."""

    @pytest.fixture
    def files(self, ring):
        images = WORKSPACE.read_split("holdout").data.images[:20]
        np.savez("new.npz", images=images)
        Path("new").mkdir()
        paths = [Path("new", f"{row:02}.png") for row in range(len(images))]
        for path, image in zip(paths, images, strict=True):
            Image.fromarray(image).save(path)
        return paths

    @pytest.fixture
    def promote_with(self, ring):
        """Promotes a run that recorded this treatment of pictures."""

        def promote(fit):
            model = fighter()
            MlflowClient().log_param(model.run_id, "image.fit", fit)
            promotion.promote(model, NAME, judge=accept)

        return promote

    def test_folder_of_a_store(self, files, promote_with):
        promote_with("stretch")
        store = fsspec.filesystem("memory")
        store.put("new/", "/new", recursive=True)
        store.pipe("/new/1/00.png", b"no picture")
        score("memory:///new/")
        assert treatments() == {"as is": len(files)}
        store.pipe("/new/00.png", b"no picture")
        line = finding(DataError, lambda: score("memory:///new", out="other.parquet"))
        assert line.startswith("memory:///new/00.png: no PNG, JPEG, WebP or BMP")

    def test_predict_names_the_picture_that_explains(self, files, promote_with, capsys):
        promote_with("stretch")
        cli.predict(context(), files[:1], explain=Path("why.png"))
        assert capsys.readouterr().out.endswith("\nwhy.png: what speaks for each answer\n")
        assert Path("why.png").exists()

    def test_converted_as_recorded(self, files, promote_with):
        large = np.zeros((40, 40), np.uint8)
        large[5:30, 10:14] = 255
        Image.fromarray(large).save("new/large.png")
        for treatment in ("stretch", "digit"):
            promote_with(treatment)
            score("new", overwrite=True)
            assert treatments() == {"as is": len(files), treatment: 1}
