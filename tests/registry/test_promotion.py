"""The registry: one champion, how it came to be, and the way back."""

import json
import shutil
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import arena
import numpy as np
import pandas as pd
import pytest
from arena import ALSO_EVEN, EVEN, FEW, FEW_MORE, NAME, ONE_CLASS, accept, fighter, forget_hash
from mlflow import MlflowClient
from PIL import Image
from ruamel.yaml import YAML
from support import changed, finding, python, record_outputs

from digits import params as parameters
from digits.commands import champion as command
from digits.core.artifacts import (
    SPLIT_TAGS,
    SPLITS,
    RunRecord,
    TrainOutputs,
    read_split,
    split_path,
)
from digits.core.dataset import Split, save_split
from digits.core.errors import BusyError, DataError, IntegrityError, UsageError
from digits.core.files import md5, write_json
from digits.evaluation.gate import Check, approval
from digits.registry import history as journal
from digits.registry import lock, promotion, reproduce
from digits.registry.evidence import judge_by_holdout
from digits.registry.reproduce import Reproduction
from digits.registry.served import served
from digits.registry.trace import check_unchanged, find_origin
from digits.registry.versions import Registry, find, trained
from digits.reporting import registry_console as show
from digits.scoring.pictures import TREATMENTS
from digits.scoring.players import players
from digits.tracking import store


@pytest.fixture
def ring(project, digits_8x8, tensorflow):
    arena.prepare(digits_8x8)
    store.connect()
    return project


@pytest.fixture
def promote(ring):
    # how fast this machine is now decides nothing here
    quick = {"promote.max_latency_ms": None, "promote.min_accuracy": 0.9}
    return partial(promotion.promote, name=NAME, judge=gate(quick))


def gate(changes):
    return partial(judge_by_holdout, params=parameters.check(changed(changes)))


def parts():
    return {player.part: player.name for player in players(NAME, threads=2)}


def artifacts_of(version):
    """The folder of a version's model."""
    return Path("mlartifacts", "models", find(f"models:/{NAME}/{version}").source.split("/")[-1])


@pytest.fixture
def chain(ring):
    """Three champions, one after the other."""
    for _ in range(3):
        promotion.promote(fighter(), NAME, judge=accept)
    return Registry(NAME)


class TestPromote:
    def test_the_first_becomes_champion(self, promote):
        outcome = promote(fighter(EVEN), reason="first")
        assert outcome.moved
        assert Registry(NAME).champion() == outcome.version == "1"

    def test_a_better_one_replaces_it(self, promote):
        promote(fighter(EVEN))
        assert promote(fighter()).moved
        assert Registry(NAME).champion() == "2"

    def test_an_equal_one_within_the_margin_replaces_it(self, promote):
        promote(fighter())
        assert promote(fighter(FEW)).moved

    @pytest.mark.parametrize(
        ("champion", "challenger", "refused_by"),
        [
            ([], [EVEN], {"paired_test", "max_accuracy_loss"}),
            ([EVEN], [ONE_CLASS], {"max_sensitivity_loss"}),
            ([EVEN], [EVEN, ALSO_EVEN], {"paired_test", "max_accuracy_loss"}),
        ],
        ids=["worse", "one class collapses at equal accuracy", "worse than an imperfect one"],
    )
    def test_a_worse_one_is_refused(self, promote, champion, challenger, refused_by):
        promote(fighter(*champion))
        outcome = promote(fighter(*challenger))
        assert refused_by <= set(outcome.decision.failed)
        assert ONE_CLASS not in challenger or refused_by == set(outcome.decision.failed)
        assert Registry(NAME).champion() == "1"
        assert str(find(f"models:/{NAME}@challenger").version) == outcome.version

    @pytest.mark.parametrize(
        ("tags", "refused_by"),
        [
            ({"git_dirty": "true"}, "clean_commit"),
            ({"git_commit": "0" * 40}, "clean_commit"),
            ({"data_md5": "e" * 32}, "data_validated"),
        ],
        ids=["dirty tree", "unknown commit", "data that was not validated here"],
    )
    def test_an_unknown_origin_is_refused(self, promote, tags, refused_by):
        assert promote(fighter(**tags)).decision.failed == [refused_by]
        assert Registry(NAME).champion() is None

    @pytest.mark.parametrize(
        ("result", "says"),
        [({"success": False, "critical": 2}, "2 critical findings"), (None, "not found")],
    )
    def test_data_that_did_not_pass_is_refused(self, promote, result, says):
        path = Path("artifacts/validate/result.json")
        path.unlink()
        if result:
            write_json(path, result)
            record_outputs()
        [check] = [c for c in promote(fighter()).decision.checks if not c.passed]
        assert check.name == "data_validated"
        assert says in check.found

    def test_a_validation_of_other_data_is_refused(self, promote):
        model = fighter()
        lock = Path("dvc.lock")
        lock.write_text(lock.read_text("utf-8").replace("d" * 32, "e" * 32), "utf-8")
        [check] = [c for c in promote(model).decision.checks if not c.passed]
        assert check.found.startswith(f"dvc.lock has no validation of data {'d' * 32}; ")

    def test_another_signature_is_refused(self, promote):
        promotion.promote(fighter(classes=12), NAME, judge=accept)
        assert "same_signature" in promote(fighter()).decision.failed
        promotion.promote(fighter(shape=(4, 5)), NAME, judge=accept)
        assert "same_signature" in promote(fighter()).decision.failed

    @pytest.mark.parametrize(
        ("made", "says"),
        [
            ({"activation": "linear"}, "100 of 100 answers are no probabilities ("),
            ({"activation": "exponential"}, "100 of 100 answers are no probabilities ("),
            ({"shape": (4, 5)}, "takes images (4, 5) and gives 10 classes; the hold-out rows are"),
            ({"classes": 12}, "takes images (8, 8) and gives 12 classes; the hold-out rows are"),
        ],
    )
    def test_answers_that_tell_nothing_are_refused(self, promote, made, says):
        promote(fighter())
        outcome = promote(fighter(**made))
        assert outcome.decision.failed == ["answers"]
        assert outcome.decision.checks[0].found.startswith(says)
        assert Registry(NAME).champion() == "1"

    @pytest.mark.parametrize(("falls_for", "word"), [([], "accepted"), ([EVEN], "refused")])
    def test_the_decision_can_be_read_afterwards(self, promote, falls_for, word):
        import mlflow

        promote(fighter())
        outcome = promote(fighter(*falls_for), reason="because")
        tags = find(f"models:/{NAME}/{outcome.version}").tags
        assert (tags["gate"], tags["gate_champion"]) == (word, "1")
        assert tags["gate_reason"] == "because"
        record = json.loads(mlflow.artifacts.load_text(tags["gate_record"]))
        assert record["accepted"] == (word == "accepted")
        assert [c["name"] for c in record["checks"] if not c["passed"]] == outcome.decision.failed
        assert json.loads(tags["gate_figures"]) == pytest.approx(outcome.decision.figures)

    def test_a_run_is_registered_once(self, promote):
        model = fighter(EVEN)
        promote(fighter())
        assert promote(model).version == promote(model).version == "2"

    def test_the_champion_again_changes_nothing(self, promote):
        model = fighter()
        promote(model)
        outcome = promote(model)
        assert (outcome.decision, outcome.moved) == (None, False)
        assert len(Registry(NAME).moves()) == 1

    def test_a_dry_run_leaves_no_trace(self, ring):
        judge = gate({"promote.max_latency_ms": None})
        outcome = promotion.preview(fighter(), NAME, judge=judge)
        assert outcome.decision.accepted
        assert Registry(NAME).champion() is None
        assert "nothing is registered" in finding(UsageError, lambda: find(f"models:/{NAME}/1"))

    @pytest.mark.parametrize("split", SPLITS)
    def test_a_run_of_another_split_is_refused(self, promote, split):
        model = fighter(**{SPLIT_TAGS[split]: "f" * 32})
        line = finding(IntegrityError, lambda: promote(model))
        assert f"{split_path(split)} had md5 {'f' * 32}, dvc.lock has " in line

    def test_hand_picked_hold_out_rows_are_refused(self, promote):
        model, path = fighter(EVEN, ALSO_EVEN), split_path("holdout")
        picked = read_split("holdout").data.take(np.arange(50))
        save_split(path, Split(picked, np.arange(50)))
        line = finding(IntegrityError, lambda: promote(model))
        assert line.startswith(f"{path}: md5 {md5(path)[:12]}, dvc.lock records ")
        record_outputs()  # whoever forges dvc.lock, too
        line = finding(IntegrityError, lambda: promote(model))
        assert f", dvc.lock has {md5(path)}, so hold-out rows may be" in line

    def test_a_run_that_did_not_record_its_splits_is_refused_with_a_way_out(self, promote):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("arena.split_tags", lambda _: {"split_md5": "f" * 32})
            model = fighter(split_md5=md5(split_path("train")), model="mlp")
        line = finding(IntegrityError, lambda: promote(model))
        assert "did not record the md5 of artifacts/split/validation.npz" in line
        assert line.endswith("train it again: `dvc repro -f -s train@mlp`")

    @pytest.mark.parametrize(
        ("stage", "key"), [("split", "data.percent"), ("validate", "validate")]
    )
    def test_rows_set_apart_by_other_params_than_these_are_refused(self, promote, stage, key):
        recorded = YAML(typ="safe").load(Path("dvc.lock"))
        recorded["stages"].setdefault(stage, {})["params"] = {"params.yaml": {key: 1, "seed": 9}}
        with Path("dvc.lock").open("w", encoding="utf-8") as file:
            YAML(typ="safe").dump(recorded, file)
        line = finding(IntegrityError, lambda: promote(fighter()))
        assert line.startswith(f"{stage}: made with {key} 1, params.yaml has ")

    def test_losses_that_are_small_one_by_one_do_not_add_up(self, ring):
        judge = gate({"promote.max_latency_ms": None, "promote.max_total_loss": 0.002})
        for falls_for in ([], [FEW]):
            assert promotion.promote(fighter(*falls_for), NAME, judge=judge).moved
        worse = fighter(FEW, FEW_MORE)
        outcome = promotion.promote(worse, NAME, judge=judge)
        assert outcome.decision.failed == ["max_total_loss"]
        [check] = [c for c in outcome.decision.checks if not c.passed]
        assert "against 1.0000 of version 1, the best so far" in check.found
        shutil.rmtree(artifacts_of("1"))  # what it was found to answer is recorded
        assert promotion.promote(worse, NAME, judge=judge).decision.failed == ["max_total_loss"]
        MlflowClient().set_model_version_tag(NAME, "1", "gate_figures", "{}")
        work = partial(promotion.promote, worse, NAME, judge=judge)
        assert "models:/digits/1: its artifacts are gone" in finding(IntegrityError, work)
        MlflowClient().delete_model_version(NAME, "1")
        outcome = promotion.promote(worse, NAME, judge=judge)
        assert outcome.moved
        [check] = [c for c in outcome.decision.checks if c.name == "max_total_loss"]
        assert (
            "version 2, the best so far (left out, as they cannot answer: version 1)" in check.found
        )

    def test_a_former_champion_that_was_judged_on_other_rows_answers_these(self, promote):
        promotion.promote(fighter(), NAME, judge=accept)
        promotion.promote(fighter(EVEN), NAME, judge=accept)
        outcome = promote(fighter(EVEN))
        assert outcome.decision.failed == ["max_total_loss"]
        assert outcome.decision.figures["best_accuracy"] == 1

    def test_a_champion_whose_artifacts_are_gone_is_named(self, promote):
        promote(fighter())
        shutil.rmtree("mlartifacts")
        challenger = fighter()
        line = finding(IntegrityError, lambda: promote(challenger))
        assert line.startswith("models:/digits/1: its artifacts are gone")


class TestRuns:
    def test_an_unknown_run_is_a_line(self, tracked):
        store.connect()
        assert "unknown" in finding(UsageError, lambda: trained("f" * 32))

    def test_a_run_without_a_model_is_a_line(self, tracked):
        from digits.tracking import runs

        with runs.run("empty", params={}, tags={}) as run:
            pass
        line = finding(DataError, lambda: trained(run.info.run_id))
        assert "finished, with 0 models" in line


class TestRollback:
    def test_goes_to_the_previous_champion_and_then_further_back(self, chain):
        assert promotion.rollback(NAME).after == "2"
        assert promotion.rollback(NAME).after == "1"
        assert "no previous champion" in finding(UsageError, lambda: promotion.rollback(NAME))
        assert chain.champion() == "1"

    def test_goes_to_a_named_version_and_says_why(self, chain):
        move = promotion.rollback(NAME, to="1", reason="3 is slow")
        assert (move.before, move.after, move.reason) == ("3", "1", "3 is slow")
        assert chain.moves()[-1].action == "rollback"

    @pytest.mark.parametrize(("to", "says"), [("9", "there are 1, 2, 3"), ("3", "already")])
    def test_elsewhere_it_does_not_go(self, chain, to, says):
        assert says in finding(UsageError, lambda: promotion.rollback(NAME, to=to))

    def test_not_to_a_version_whose_artifacts_are_gone(self, chain):
        shutil.rmtree(artifacts_of("2"))
        line = finding(IntegrityError, lambda: promotion.rollback(NAME))
        assert line.startswith("models:/digits/2: its artifacts are gone")
        assert chain.champion() == "3"


class TestHistory:
    def test_each_move_starts_where_the_last_one_ended(self, chain):
        promotion.rollback(NAME)
        ends = [(move.before, move.after) for move in chain.moves()]
        assert ends == [(None, "1"), ("1", "2"), ("2", "3"), ("3", "2")]
        assert chain.moves()[0].figures == {"figure": 1.0}

    def test_a_move_by_hand_is_a_link_of_the_chain(self, chain):
        MlflowClient().set_registered_model_alias(NAME, "champion", "1")
        assert chain.moves()[-1].action == "elsewhere"
        promotion.promote(fighter(), NAME, judge=accept)
        assert [m.action for m in chain.moves()[-2:]] == ["elsewhere", "promote"]
        assert chain.moves()[-1].before == "1"

    def test_its_table_says_who_approved_and_cuts_no_figure(self, ring, capsys, monkeypatch):
        monkeypatch.setenv("COLUMNS", "80")
        figures = {"holdout_accuracy": 0.9965, "champion_accuracy": 0.9905, "worse_p_value": 0.03}

        def approved(*asked):
            judged = accept(*asked)
            better = Check("better", True, "", "", figures)
            return replace(judged, checks=(better, approval("Ada", "")))

        reason = "approved in Prefect's form [/b] \x1b[31m"
        promotion.promote(fighter(), NAME, judge=approved, reason=reason)
        show.print_moves(Registry(NAME).moves(), as_json=False)
        shown = capsys.readouterr().out
        assert "[/b]" in shown
        assert "\x1b" not in shown
        assert "approved" in shown
        assert "Ada" in shown
        assert "…" not in shown
        for figure in ("accuracy 0.9965", "champion's 0.9905", "p 0.03"):
            assert figure in shown

    def test_without_a_champion_it_says_how_to_make_one(self, ring, capsys):
        show.print_moves(Registry(NAME).moves(), as_json=False)
        assert capsys.readouterr().out == "no champion yet; digits promote MODEL makes one\n"


class TestDemo:
    def test_shows_who_was_champion_last_where_nobody_challenges(self, chain):
        assert parts() == {
            "champion": "models:/digits/3 mlp",
            "former champion": "models:/digits/2 mlp",
        }
        promotion.rollback(NAME)
        assert parts() == {
            "champion": "models:/digits/2 mlp",
            "former champion": "models:/digits/3 mlp",
        }

    def test_shows_the_challenger_beside_the_champion(self, chain):
        chain.set_challenger("1")
        assert parts() == {"champion": "models:/digits/3 mlp", "challenger": "models:/digits/1 mlp"}

    @pytest.mark.parametrize("how", ["rollback", "by hand"])
    def test_a_challenger_that_becomes_champion_is_not_set_beside_itself(self, chain, how):
        chain.set_challenger("1")
        if how == "rollback":
            promotion.rollback(NAME, to="1")
            assert find(chain.uri("1")).aliases == ["champion"]
        else:
            MlflowClient().set_registered_model_alias(NAME, "champion", "1")
        assert parts() == {
            "champion": "models:/digits/1 mlp",
            "former champion": "models:/digits/3 mlp",
        }

    def test_a_version_that_was_deleted_is_not_set_beside_the_champion(self, chain):
        MlflowClient().delete_model_version(NAME, "2")
        assert parts() == {
            "champion": "models:/digits/3 mlp",
            "former champion": "models:/digits/1 mlp",
        }

    def test_without_a_champion_it_says_how_to_make_one(self, ring):
        line = finding(UsageError, lambda: players(NAME, threads=2))
        assert "digits promote MODEL" in line


class TestTrace:
    def test_leads_back_to_code_data_params_and_environment(self, chain):
        found = find_origin(f"models:/{NAME}@champion")
        assert (found.version, found.aliases) == ("3", ["champion"])
        assert len(found.git_commit) == 40
        assert found.git_dirty == "false"
        assert found.data_md5 == "d" * 32
        assert found.params == arena.RECORDED
        assert found.experiment == "digits"
        assert found.gate["gate"] == "accepted"

    @pytest.mark.parametrize(
        ("uri", "says"),
        [
            ("digits", "models:/NAME/VERSION"),
            ("models:/digits/7", "there are 1, 2, 3"),
            ("models:/digits@nobody", "no version has"),
            ("models:/letters/1", "nothing is registered as letters"),
        ],
    )
    def test_an_address_that_leads_nowhere_is_a_line(self, chain, uri, says):
        assert says in finding(UsageError, lambda: find(uri))


class TestReproduce:
    """What is refused before anything is trained; see test_end_to_end for the rest."""

    @pytest.mark.parametrize(
        ("tags", "says"),
        [
            ({"git_dirty": "true"}, "uncommitted changes"),
            ({"git_commit": ""}, "no commit; no commit holds its code"),
            ({"git_commit": "0" * 40}, "cannot be checked out"),
            ({"data_md5": "e" * 32}, f"trained on data {'e' * 32}, its commit has {'d' * 32}"),
        ],
    )
    def test_what_no_commit_holds_is_not_reproducible(self, ring, tags, says):
        promotion.promote(fighter(**tags), NAME, judge=accept)
        uri = f"models:/{NAME}/1"
        line = finding(
            IntegrityError, lambda: reproduce.reproduce_version(uri, threads=2, tolerance=0)
        )
        assert says in line

    def test_predictions_after_another_split_are_not_compared(self, ring):
        promotion.promote(fighter(holdout_md5="f" * 32), NAME, judge=accept)
        found = find_origin(f"models:/{NAME}/1")
        line = finding(IntegrityError, lambda: reproduce.check_inputs(found, Path()))
        assert line.startswith(
            f"models:/digits/1: its holdout split had md5 {'f' * 32}, now it is "
        )

    def test_other_params_than_the_run_says_are_told(self, ring):
        promotion.promote(fighter(), NAME, judge=accept)
        found = find_origin(f"models:/{NAME}/1")
        ids = dict.fromkeys(("run_id", "model_id", "experiment_id", "tracking_uri"), "")
        said = arena.RECORDED | {"seed": 7}
        record = RunRecord(**ids, name="mlp", params=said, tags={}, datasets={})
        write_json(TrainOutputs("mlp").run, record.model_dump())
        line = finding(IntegrityError, lambda: reproduce.check_inputs(found, Path()))
        assert line.endswith("its run says seed = 42, the params.yaml that it recorded gives 7")

    def test_a_difference_beyond_the_tolerance_is_refused(self):
        found = Reproduction(100, 99, 0.25)
        reproduce.check_tolerance("m", found, 0.25)
        line = finding(IntegrityError, lambda: reproduce.check_tolerance("m", found, 0.2))
        assert line == (
            "m: 99 of 100 predictions identical, largest probability difference 0.25;"
            " at most 0.2 is allowed (--tolerance)"
        )

    def test_what_differs_here_is_named(self, ring):
        promotion.promote(
            fighter(cpu="Abacus, 1 cores", cpu_features="abacus9"), NAME, judge=accept
        )
        found = find_origin(f"models:/{NAME}/1")
        Path("requirements.lock").write_text("numpy==0.1\n", encoding="utf-8")
        lines = reproduce.environment_differences(found, Path(), threads=1)
        assert lines[0] == "threads: 2 recorded and used, params.yaml has 1"
        assert lines[1].startswith("CPU: Abacus, 1 cores recorded, ")
        assert "CPU features recorded, not here: abacus9" in lines
        assert lines[-1].startswith("package: numpy 0.1 recorded, ")

    def test_where_nothing_differs_nothing_is_said(self, ring):
        promotion.promote(fighter(), NAME, judge=accept)
        found = find_origin(f"models:/{NAME}/1")
        Path("requirements.lock").write_text("", encoding="utf-8")
        assert reproduce.environment_differences(found, Path(), threads=2) == []


def score_new(path="new.npz"):
    from digits.scoring.score import score

    params = parameters.check(changed({}))
    with served(f"models:/{NAME}@champion", threads=2) as model:
        return score(Path(path), Path("scored.parquet"), model, params=params)


def scored_probabilities():
    return pd.read_parquet("scored.parquet").filter(regex="^p[0-9]").to_numpy()


def predict(uri):
    with served(uri, threads=2) as model:
        return model.predict(np.zeros((1, 8, 8), np.uint8))


TENSOR = '[{{"type": "tensor", "tensor-spec": {{"dtype": "{}", "shape": {}}}}}]'


class TestServed:
    def test_a_model_whose_artifacts_are_gone_is_named(self, ring):
        promotion.promote(fighter(), NAME, judge=accept)
        shutil.rmtree("mlartifacts")
        line = finding(IntegrityError, lambda: predict(f"models:/{NAME}/1"))
        assert line.startswith("models:/digits/1: its artifacts are gone")

    @pytest.mark.parametrize(
        "signature",
        [
            None,
            {"inputs": '[{"type": "double", "name": "ink", "required": true}]'},
            {"inputs": TENSOR.format("uint8", "[-1, 64]"), "outputs": TENSOR.format("int64", "[]")},
        ],
    )
    def test_a_model_that_takes_no_images_is_named(self, ring, signature):
        model = fighter()
        promotion.promote(model, NAME, judge=accept)
        forget_hash(model, "1")
        [described] = Path("mlartifacts").rglob("MLmodel")
        content = YAML(typ="safe").load(described)
        YAML().dump({**content, "signature": signature}, described)
        line = finding(IntegrityError, lambda: predict(f"models:/{NAME}/1"))
        assert line.startswith("models:/digits/1: by its signature it takes (")

    def test_answers_that_are_no_probabilities_are_named(self, ring):
        promotion.promote(fighter(activation="linear"), NAME, judge=accept)
        line = finding(IntegrityError, lambda: predict(f"models:/{NAME}/1"))
        assert line.startswith("models:/digits/1: 1 of 1 answers are no probabilities (")


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
        from digits.training import inference

        monkeypatch.setattr(inference, "load", lambda _: pytest.fail("loaded"))
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
        answers = command.predict(files, None)[1]
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
        [said] = command.predict([Path("new/large.png")], None)[1]
        assert said.picture == treatment
        show.print_scored(scored, as_json=False)
        show.print_answers("", [said], as_json=False)
        assert capsys.readouterr().out.count(f"\n{treatment}: {TREATMENTS[treatment]}\n") == 2

    def test_a_record_of_no_known_way_is_named(self, promote_with):
        promote_with("sideways")
        line = finding(IntegrityError, lambda: predict(f"models:/{NAME}@champion"))
        assert line.endswith("its run recorded picture 'sideways'; digit or plain is allowed")


class TestLock:
    def test_a_second_decision_waits_and_then_gives_up(self, tracked):
        with lock.exclusive(NAME):
            line = finding(BusyError, lambda: lock.exclusive(NAME, wait_s=0.1).__enter__())
        assert "another promotion" in line
        with lock.exclusive(NAME, wait_s=0.1):
            pass

    @pytest.fixture
    def queue(self, tracked, monkeypatch):
        """The lock of a server, with little patience."""
        store.connect()
        monkeypatch.setattr(lock, "POLL_S", 0.02)
        monkeypatch.setattr(lock, "RENEW_S", 0.02)
        monkeypatch.setattr(lock, "PATIENCE", 100)
        return f"{NAME}.deciding"

    def test_on_a_server_the_first_ticket_has_the_right_and_the_next_waits(self, queue):
        with lock._server_lock(NAME, 0.1) as still_held:
            line = finding(BusyError, lambda: lock._server_lock(NAME, 0.1).__enter__())
            still_held()
        assert "digits.deciding" in line
        with lock._server_lock(NAME, 0.1):
            pass

    def test_on_a_server_it_is_not_taken_from_a_holder_that_lives(self, queue, monkeypatch):
        monkeypatch.setattr(lock, "PATIENCE", 20)
        with lock._server_lock(NAME, 0.1) as still_held:
            assert finding(BusyError, lambda: lock._server_lock(NAME, 4).__enter__())
            still_held()

    def test_on_a_server_a_silent_holder_is_passed_over_and_learns_it(self, queue):
        silent = lock._Ticket(queue)
        silent._over.set()
        with lock._server_lock(NAME, 60) as still_held:
            assert "nothing was moved" in finding(BusyError, silent.check)
            silent.give_back()
            still_held()

    def test_on_a_server_a_queue_that_is_made_anew_renews_no_right(self, queue):
        lost = lock._Ticket(queue)
        lock.MlflowClient().delete_registered_model(queue)
        with lock._server_lock(NAME, 1) as still_held:  # its ticket has the same number
            assert finding(BusyError, lost.check)
            lost.give_back()
            still_held()

    def test_who_lost_it_moves_no_alias(self, chain, monkeypatch):
        monkeypatch.setattr(lock, "_file_lock", lambda _path, s: lock._server_lock(NAME, s))

        def taken_for_dead(*asked):
            lock.MlflowClient().delete_registered_model(f"{NAME}.deciding")
            return accept(*asked)

        challenger = fighter()
        work = partial(promotion.promote, challenger, NAME, judge=taken_for_dead)
        assert "run it again" in finding(BusyError, work)
        assert (chain.champion(), len(chain.moves())) == ("3", 3)


def test_a_pending_move_counts_only_if_the_alias_names_its_target():
    done = journal.Move(1, "promote", None, "1", "", "", "", {}, done=True)
    pending = journal.Move(2, "promote", "1", "2", "", "", "", {})
    assert journal.settle([done, pending], "1") == [done]
    assert [m.done for m in journal.settle([done, pending], "2")] == [True, True]


def in_child(what, *runs):
    done = python(Path(__file__).with_name("registry_child.py"), what, *runs, timeout=500)
    assert done.returncode == 0, done.stderr


def assert_one_chain(moves):
    assert moves[0].before is None
    assert all(now.before == last.after for last, now in pairwise(moves))
    assert all(move.done for move in moves)
    assert [move.number for move in moves] == list(range(1, len(moves) + 1))
    assert Registry(NAME).champion() == moves[-1].after


@pytest.mark.slow
def test_promotions_and_rollbacks_at_once_make_one_chain(ring):
    in_child("race", *(fighter().run_id for _ in range(8)))
    assert sorted(move.after for move in Registry(NAME).moves()) == list("12345678")
    in_child("race", "rollback", fighter().run_id, "rollback", fighter().run_id)
    moves = Registry(NAME).moves()
    assert [move.action for move in moves[8:]].count("rollback") == 2
    assert_one_chain(moves)


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_the_old_or_the_new_champion(chain):
    import mlflow

    run = fighter().run_id
    in_child("kill", run)
    folders = [path.absolute() for path in Path().iterdir() if path.name.isdecimal()]
    assert len(folders) > 6
    survived = set()
    for folder in folders:
        arena.enter(folder)
        registry = Registry(NAME)
        champion = registry.champion()
        survived.add(champion)
        check_unchanged(find_origin(registry.uri(champion)))
        assert registry.moves()[-1].after == champion
        if champion == "4":  # whoever became champion has its decision beside it
            tags = find(registry.uri("4")).tags
            assert tags["gate"] == "accepted"
            assert json.loads(mlflow.artifacts.load_text(tags["gate_record"]))["accepted"]
        promotion.promote(trained(run), NAME, judge=accept)
        assert (registry.champion(), len(registry.moves())) == ("4", 4)
        assert [move.done for move in registry.moves()] == [True] * 4
    assert survived == {"3", "4"}


def test_a_move_comes_back_as_it_was_written_and_nothing_else_does():
    move = journal.Move(1, "promote", None, "1", "", "Ada", "why – é", {"p": 1}, done=True)
    assert journal.read({move.key: move.to_json(), "other": "x"}) == [move]
    for text in ("", "{}", "[" * 3000, f'{{"number": {"9" * 5000}}}'):
        line = finding(IntegrityError, lambda text=text: journal.read({move.key: text}))
        assert line.startswith(f"tag {move.key} of the registered model: is no move as digits")
