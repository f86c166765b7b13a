"""Scoring, single pictures and the page with the versions of a real registry."""

from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pytest
from arena import NAME, accept, fighter, old_fighter
from mlflow import MlflowClient
from PIL import Image
from support import SMALL, changed, finding, write_params

from digits import cli
from digits import params as parameters
from digits.core.artifacts import read_split, split_path
from digits.core.errors import DataError, IntegrityError, UsageError
from digits.core.files import md5
from digits.registry import promotion
from digits.registry.served import served
from digits.registry.versions import find
from digits.reporting.console import print_answers, print_scored
from digits.scoring.demo import players
from digits.scoring.pictures import TREATMENTS
from digits.scoring.predict import predict_pictures
from digits.scoring.score import score_file
from digits.training import inference


def roles():
    return {player.role: player.name for player in players(NAME, threads=2)}


def score_new(path="new.npz", **changes):
    params = parameters.check(changed(changes))
    with served(f"models:/{NAME}@champion", threads=2) as model:
        return score_file(path, "scored.parquet", model, params=params)


def answer(files):
    with served(f"models:/{NAME}@champion", threads=2) as model:
        return predict_pictures(files, model, coverage=0.99)


def scored_probabilities():
    return pd.read_parquet("scored.parquet").filter(regex="^p[0-9]").to_numpy()


class TestDemo:
    def test_shows_who_was_champion_last_where_nobody_challenges(self, chain):
        assert roles() == {
            "champion": "models:/digits/3 mlp",
            "former champion": "models:/digits/2 mlp",
        }
        promotion.rollback(NAME)
        assert roles() == {
            "champion": "models:/digits/2 mlp",
            "former champion": "models:/digits/3 mlp",
        }

    def test_shows_the_challenger_beside_the_champion(self, chain):
        chain.set_challenger("1")
        assert roles() == {"champion": "models:/digits/3 mlp", "challenger": "models:/digits/1 mlp"}

    @pytest.mark.parametrize("how", ["rollback", "by hand"])
    def test_a_challenger_that_becomes_champion_is_not_set_beside_itself(self, chain, how):
        chain.set_challenger("1")
        if how == "rollback":
            promotion.rollback(NAME, to="1")
            assert find(chain.uri("1")).aliases == ["champion"]
        else:
            MlflowClient().set_registered_model_alias(NAME, "champion", "1")
        assert roles() == {
            "champion": "models:/digits/1 mlp",
            "former champion": "models:/digits/3 mlp",
        }

    def test_a_version_that_was_deleted_is_not_set_beside_the_champion(self, chain):
        MlflowClient().delete_model_version(NAME, "2")
        assert roles() == {
            "champion": "models:/digits/3 mlp",
            "former champion": "models:/digits/1 mlp",
        }

    def test_without_a_champion_it_says_how_to_make_one(self, ring):
        line = finding(UsageError, lambda: players(NAME, threads=2))
        assert "digits promote MODEL" in line


class TestScore:
    @pytest.fixture(autouse=True)
    def champion(self, ring):
        promotion.promote(fighter(), NAME, judge=accept)

    @pytest.fixture
    def images(self):
        holdout = read_split("holdout").data
        np.savez("new.npz", images=holdout.images)
        return holdout

    def test_what_is_wrong_with_the_input_is_told_before_the_model_is_loaded(self, monkeypatch):
        monkeypatch.setattr(inference, "load", lambda *_, **__: pytest.fail("loaded"))
        np.savez("new.npz", images=np.zeros((3, 9, 9), np.uint8))
        line = finding(DataError, score_new)
        assert line == "new.npz array images: (3, 9, 9); the model takes (n, 8, 8)"

    @pytest.mark.slow
    def test_every_row_is_answered_and_the_run_is_kept(self, images):
        import mlflow

        scored = score_new()
        found = pd.read_parquet("scored.parquet")
        assert found["predicted"].tolist() == images.labels.tolist()
        assert set(found["data_md5"]) == {md5(Path("new.npz"))} == {scored.data_md5}
        assert set(found["model"]) == {"models:/digits/1"}
        assert scored.class_counts == np.bincount(images.labels).tolist()
        [run] = mlflow.search_runs(experiment_names=["digits-scoring"], output_format="list")
        assert run.data.metrics["rows"] == len(images)
        assert run.data.tags["scored_by"] == "models:/digits/1"
        assert "drift_class_shares_effect" in run.data.metrics

    @pytest.mark.slow
    def test_a_name_of_any_form_is_one_file_and_a_folder_is_a_folder(self, images):
        write_params(SMALL)
        Path("there.parquet").mkdir()
        Path("taken").touch()
        for name in ("preds.pq", "taken", "scored/", "there.parquet"):
            cli.score("new.npz", name)
        assert [len(pd.read_parquet(name)) for name in ("preds.pq", "taken")] == [len(images)] * 2
        assert [Path(name, "_manifest.json").exists() for name in ("scored", "there.parquet")] == [
            True,
            True,
        ]
        line = finding(UsageError, lambda: cli.score("new.npz", "one", scheduler="tcp://x:1"))
        assert line.endswith("needs --out FOLDER/, for the parts")

    @pytest.mark.slow
    def test_a_row_that_no_set_answers_is_unsure(self, images, capsys):
        import mlflow

        scored = score_new()
        assert (scored.coverage, scored.unsure) == (0.99, 0)
        assert set(pd.read_parquet("scored.parquet")["set_size"]) == {1}
        # the version has 100 validation rows: too few to promise more than 100 of 101
        scored = score_new(**{"confidence.coverage": 0.995})
        assert (scored.coverage, scored.unsure) == (0.995, 1)
        assert set(pd.read_parquet("scored.parquet")["set_size"]) == {10}
        print_scored(scored, as_json=False)
        printed = " ".join(capsys.readouterr().out.split())
        assert "100.00 % unsure, by answer sets with 99.5 % coverage" in printed
        assert "coverage 0.995 needs 199 validation rows, there are 100; validate on" in printed
        logged = mlflow.search_runs(experiment_names=["digits-scoring"], output_format="list")
        assert [run.data.metrics["unsure"] for run in logged] == [1, 0]

    @pytest.mark.slow
    def test_a_version_of_before_calibration_is_scored_without_sets(self, images, capsys):
        promotion.promote(old_fighter(), NAME, judge=accept)
        scored = score_new()
        assert (scored.coverage, scored.unsure) == (None, None)
        assert "set_size" not in pd.read_parquet("scored.parquet")
        print_scored(scored, as_json=False)
        assert "unsure" not in capsys.readouterr().out

    @pytest.mark.slow
    def test_drift_is_told_against_the_data_it_was_trained_on_and_no_other(self, images):
        drift = {found.name: found for found in score_new().drift}
        assert set(drift) == {"mean_ink", "contrast", "class_shares"}
        assert drift["contrast"].drifted  # the marks of the arena are brighter than any ink
        assert not drift["class_shares"].drifted
        with split_path("train").open("ab") as file:
            file.write(b"0")
        assert score_new().drift == []


class TestPictures:
    """PNG files as the user gives them, through both commands, and the record of the version."""

    @pytest.fixture
    def files(self, ring):
        images = read_split("holdout").data.images[:20]
        np.savez("new.npz", images=images)
        Path("new").mkdir()
        paths = [Path("new", f"{row:02}.png") for row in range(len(images))]
        for path, image in zip(paths, images, strict=True):
            Image.fromarray(image).save(path)
        return paths

    @pytest.fixture
    def promote_with(self, ring):
        """Promotes a run that recorded this treatment of pictures."""

        def promote(picture):
            model = fighter()
            if picture:
                MlflowClient().log_param(model.run_id, "picture", picture)
            promotion.promote(model, NAME, judge=accept)

        return promote

    @pytest.mark.slow
    def test_of_the_models_form_they_are_answered_as_the_arrays_are(self, files, promote_with):
        promote_with("plain")
        assert score_new().pictures == {}
        of_arrays = scored_probabilities()
        scored = score_new("new")
        assert scored.as_dict()["pictures"] == {"as is": len(files)}
        assert np.array_equal(scored_probabilities(), of_arrays)
        assert set(pd.read_parquet("scored.parquet")["picture"]) == {"as is"}
        answers = answer(files)
        assert [answer.picture for answer in answers] == ["as is"] * len(files)
        assert np.array_equal([answer.probabilities for answer in answers], of_arrays)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("recorded", "treatment"), [("plain", "plain"), ("digit", "digit"), (None, "digit")]
    )
    def test_others_are_treated_as_the_version_recorded_and_this_is_said(
        self, files, promote_with, capsys, recorded, treatment
    ):
        large = np.zeros((40, 40), np.uint8)
        large[5:30, 10:14] = 255
        Image.fromarray(large).save("new/large.png")
        promote_with(recorded)
        scored = score_new("new")
        assert scored.pictures == {"as is": len(files), treatment: 1}
        assert pd.read_parquet("scored.parquet")["picture"].iloc[-1] == treatment
        [said] = answer([Path("new/large.png")])
        assert said.picture == treatment
        print_scored(scored, as_json=False)
        print_answers("", [said], coverage=0.99, as_json=False)
        assert capsys.readouterr().out.count(f"\n{treatment}: {TREATMENTS[treatment]}\n") == 2

    @pytest.mark.slow
    def test_of_a_folder_in_a_store_those_directly_in_it_are_answered_as_here(
        self, files, promote_with
    ):
        promote_with("plain")
        store = fsspec.filesystem("memory")
        store.put("new/", "/new", recursive=True)
        for name in ("1/00.png", "1/more.png", "large.npz"):
            store.pipe(f"/new/{name}", b"no picture")
        in_store = score_new("memory:///new/")
        assert in_store.pictures == {"as is": len(files)}
        of_store = scored_probabilities()
        assert score_new("new").data_md5 == in_store.data_md5
        assert np.array_equal(scored_probabilities(), of_store)
        store.rm("/new/[0-9][0-9].png")
        line = finding(DataError, lambda: score_new("memory:///new"))
        assert line.startswith("memory:///new: no pictures in it")

    def test_a_record_of_no_known_way_is_named(self, promote_with):
        promote_with("sideways")
        line = finding(IntegrityError, score_new)
        assert line.endswith("its run recorded picture 'sideways'; digit or plain is allowed")
