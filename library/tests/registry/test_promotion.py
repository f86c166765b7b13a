"""Promotion and rollback of a registered model: what the gate is told, how the alias moves."""

import json
import shutil
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import arena
import numpy as np
import pytest
from arena import (
    ALSO_EVEN,
    EVEN,
    FEW,
    FEW_MORE,
    TEST_ONLY,
    accept,
    check_of,
    fighter,
    gate,
)
from example import NAME, write_params
from helpers import active_run, finding, record_outputs
from mlflow import MlflowClient

from imageproof.artifacts import WORKSPACE
from imageproof.base import _machine
from imageproof.base._dataset import Split, save_arrays, save_split
from imageproof.base.errors import (
    BusyError,
    DataError,
    GateRefusedError,
    IntegrityError,
    UsageError,
)
from imageproof.judge.gate import GATE, Check, approval
from imageproof.registry import _promotion
from imageproof.registry._promotion import rollback
from imageproof.registry._version import find_origin
from imageproof.registry._versions import Registry, find, trained_run

LETTERS = [f"class {letter}" for letter in "abcdefghij"]


@pytest.fixture
def promote(ring):
    return partial(arena.promote, judge=gate())


def refuse(*arguments):
    checks = (Check("min_accuracy", False, "", ""), Check("paired_test", False, "", ""))
    return replace(accept(*arguments), checks=checks)


def test_what_one_check_refuses_is_no_champion(promote):
    promote(fighter(EVEN))
    forged = np.full(100, 1e-9, np.float32)  # neighbouring classes are in all answer sets
    for run, failed in (
        (fighter(TEST_ONLY), ["holdout_test"]),  # it has memorised the hold-out rows
        (fighter(calibration=forged), ["max_unsure"]),
        (fighter(git_dirty="true", data_md5="e" * 32), ["data_validated", "clean_commit"]),
    ):
        outcome = promote(run)
        assert outcome.decision.failed == failed
        assert str(find(f"models:/{NAME}@challenger").version) == outcome.version
    assert Registry(NAME).champion() == "1"


def test_baseline_is_asked_for_the_same_rows(promote):
    answers = WORKSPACE.baseline.read_predictions()
    answers["holdout"] = np.eye(10)[WORKSPACE.read_split("holdout").data.labels]
    save_arrays(WORKSPACE.baseline.predictions, answers)
    record_outputs()
    assert promote(fighter(EVEN)).decision.failed == ["beats_baseline"]
    lock = json.loads(Path("dvc.lock").read_text())
    deps = [{"path": str(WORKSPACE.split("holdout")), "md5": "f" * 32}]
    lock["stages"]["baseline"] = {"deps": deps}
    Path("dvc.lock").write_text(json.dumps(lock))
    line = finding(IntegrityError, promote, fighter())
    assert "answers to other hold-out rows; `dvc repro baseline` makes it anew" in line


def test_model_worse_on_one_writer_is_refused(promote):
    promote(fighter(ALSO_EVEN))
    rows = np.arange(2000)
    arena.describe({"meta_writer": np.where((rows >= 600) & (rows < 660), "Ann", "Bob")})
    record_outputs()
    assert promote(fighter(EVEN)).decision.failed == ["max_slice_loss"]
    holdout = WORKSPACE.read_split("holdout")
    grouped = replace(holdout.data, groups=holdout.rows // 400)
    save_split(WORKSPACE.split("holdout"), Split(grouped, holdout.rows))
    record_outputs()
    assert "; too few groups to tell" in check_of(promote(fighter(EVEN)), "paired_test").found


def test_champion_of_other_images_is_no_opponent(promote):
    for champion, text in ((fighter(classes=12), "12 classes"), (fighter(shape=(9, 9)), "size")):
        arena.promote(champion, accept)
        assert text in check_of(promote(fighter()), "paired_test").found


def test_models_are_judged_by_the_names_of_their_classes(ring):
    named = gate({"data.class_names": LETTERS})
    outcome = arena.promote(fighter(dvc_stage="train@mlp"), named)
    assert check_of(outcome, "answers").found == (
        "it calls its classes 0, 1, 2, …, params.yaml class a, class b, class c, …; "
        "`dvc repro -f -s train@mlp` trains it with these"
    )
    write_params({"data.class_names": LETTERS[::-1]})
    arena.promote(fighter(), accept)
    write_params({"data.class_names": LETTERS})
    outcome = arena.promote(fighter(), named)
    assert check_of(outcome, "max_accuracy_loss").found.startswith("1.0000 against 0.0000")


def test_who_was_not_asked_may_be_asked(ring):
    wavering = replace(gate(), approval=approval("", GATE))
    decision = arena.promote(fighter(), wavering).decision
    assert (decision.verdict, decision.failed) == ("undecided", ["approval"])
    assert decision.note.startswith("`imageproof promote` judges it again; or a person decides")


def test_latency_is_of_mlflows_pyfunc(ring):
    run = fighter()
    limits = {"promote.max_latency_ms": 10_000, "promote.shadow": {"min_rows": 1}}
    outcome = arena.promote(run, gate(limits))
    assert check_of(outcome, "shadow").found == "no champion to compare with"
    size = (arena.files_of(run) / "model.onnx").stat().st_size
    assert outcome.decision.figures["size_mb"] == size / 1e6
    check = check_of(outcome, "max_latency_ms")
    assert min(check.figures[f"latency_{count}_p95_ms"] for count in (1, 100)) > 0
    assert _machine.cpu() in check.found


def test_a_run_is_registered_once(promote):
    model = fighter()
    preview = partial(_promotion.preview, model, NAME, judge=gate())
    assert preview().decision.accepted
    assert Registry(NAME).versions() == {}
    promote(fighter(EVEN))
    assert promote(model).version == "2"
    for again in (promote(model), preview()):
        assert (again.version, again.champion, again.decision) == ("2", "2", None)
    assert len(Registry(NAME).moves()) == 2


def test_version_registered_by_hand_is_of_its_model(ring):
    run = fighter()
    client = MlflowClient()
    client.create_registered_model(NAME)
    client.create_model_version(NAME, fighter(EVEN).uri, run_id=run.run_id)
    assert arena.promote(run, accept).version == "2"
    by_hand = find_origin(f"models:/{NAME}/1")
    assert "are not those" in finding(IntegrityError, by_hand.check_unchanged)
    client.create_model_version(NAME, Path.cwd().as_uri())
    line = finding(IntegrityError, find_origin, f"models:/{NAME}/3")
    assert line.startswith(f"models:/{NAME}/3: its run is gone (delete the version), or you")


def test_max_total_loss_adds_up(ring):
    judge = gate({"promote.max_total_loss": 0.002})
    for falls_for in ([], [FEW]):
        assert arena.promote(fighter(*falls_for), judge).move
    worse = fighter(FEW, FEW_MORE)

    def text(failed):
        outcome = arena.promote(worse, judge)
        assert outcome.decision.failed == failed
        return check_of(outcome, "max_total_loss").found

    assert "against 1.0000 of version 1, the best so far: -0." in text(["max_total_loss"])
    first = trained_run(find(f"models:/{NAME}/1").run_id)
    shutil.rmtree(arena.files_of(first))  # what it was found to answer is recorded
    assert "version 1" in text(["max_total_loss"])
    [record] = Path("mlartifacts").rglob(f"gate/{NAME}-1-*.json")
    record.unlink()
    line = finding(IntegrityError, text, [])
    assert "models:/imageproof/1: its artifacts are gone" in line
    MlflowClient().delete_model_version(NAME, "1")
    reason = "(left out, as they cannot answer: version 1)"
    assert text([]).endswith(f" {reason}")


def test_run_without_finished_model_is_a_line(ring):
    assert "unknown" in finding(UsageError, trained_run, "f" * 32)
    with active_run("empty", params={}, tags={}) as run:
        pass
    assert "finished, without model" in finding(DataError, trained_run, run.info.run_id)
    killed = fighter().run_id
    MlflowClient().update_run(killed, "KILLED")
    assert "killed, with a model" in finding(DataError, trained_run, killed)


def test_rollback_goes_to_the_champion_before_and_further_back(chain):
    for to, text in (("9", "no such version"), ("3", "already")):
        assert text in finding(UsageError, rollback, NAME, to=to)
    move = rollback(NAME, reason="3 is slow")
    assert (move.before, move.after, move.reason) == ("3", "2", "3 is slow")
    assert rollback(NAME).after == "1"
    assert "no previous champion" in finding(UsageError, rollback, NAME)
    moves = chain.moves()
    assert [move.action for move in moves] == ["promote"] * 3 + ["rollback"] * 2
    assert_one_chain(moves)
    assert moves[0].figures == {"figure": 1.0}


def test_rollback_leaves_out_a_deleted_version(chain):
    for version in "23":
        MlflowClient().delete_model_version(NAME, version)
    move = rollback(NAME)
    assert (move.before, move.after) == (None, "1")


def test_rollback_to_what_no_gate_accepted_needs_force(chain):
    for run in (fighter(), trained_run(find(f"models:/{NAME}/1").run_id)):
        arena.promote(run, refuse)
    back = partial(rollback, NAME, to="4")
    text = "refused by min_accuracy, paired_test"
    assert finding(GateRefusedError, back).startswith(f"models:/{NAME}/4: {text}; ")
    assert "--reason TEXT" in finding(UsageError, back, force=True, reason=" ")
    assert back(force=True, reason="3 is slow").reason == f"forced: 3 is slow ({text})"
    assert not rollback(NAME, to="1").reason  # it was champion, though refused since
    finding(GateRefusedError, back)  # a forced rollback is no verdict of the gate


def test_rollback_is_busy_if_another_champion_was_made(chain, monkeypatch):
    def move_by_hand(uri):
        MlflowClient().set_registered_model_alias(NAME, "champion", "1")
        return find_origin(uri)

    monkeypatch.setattr(_promotion, "find_origin", move_by_hand)
    assert "another champion was made" in finding(BusyError, rollback, NAME)


def test_promote_judges_again_if_another_champion_was_made(chain, monkeypatch):
    monkeypatch.setattr(_promotion, "SQLITE", "none:///")  # as beside a server
    rival = fighter()
    champions = []

    def judge(*arguments):
        champions.append(arguments[-1])
        if len(champions) == 1:
            arena.promote(rival, accept)
        return accept(*arguments)

    assert arena.promote(fighter(), judge).move.before == "5"
    assert champions == ["3", "5"]
    assert_one_chain(chain.moves())


def test_promote_judges_again_if_another_one_overtook_it(chain, monkeypatch):
    write = MlflowClient.set_registered_model_alias
    champions = []

    def overtaken(client, name, alias, version):
        write(client, name, alias, version)
        if alias == "champion":
            monkeypatch.undo()
            write(client, name, alias, "1")

    def judge(*arguments):
        champions.append(arguments[-1])
        return accept(*arguments)

    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", overtaken)
    assert arena.promote(fighter(), judge).move.before == "1"
    assert champions == ["3", "1"]
    assert_one_chain(chain.moves())


def test_promote_is_busy_while_another_one_runs(chain, monkeypatch):
    monkeypatch.setattr(_promotion, "WAIT_S", 0.1)

    def judge(*arguments):
        line = finding(BusyError, rollback, NAME)
        assert "another promotion or rollback holds it" in line
        return accept(*arguments)

    assert arena.promote(fighter(), judge).move


def test_move_without_a_tag_of_the_model_is_in_the_history(chain):
    client = MlflowClient()
    move = arena.promote(fighter(), accept, reason="killed").move
    client.delete_registered_model_tag(NAME, move.key)  # which is written after the alias
    arena.promote(fighter(), accept)
    client.set_registered_model_alias(NAME, "champion", "1")
    arena.promote(fighter(), accept)
    *_, killed, _, by_hand, last = chain.moves()
    assert (killed.action, killed.reason) == ("promote", "killed")
    assert (by_hand.action, by_hand.at, last.action) == ("elsewhere", "unknown", "promote")
    assert_one_chain(chain.moves())


def test_half_a_verdict_is_none(chain):
    arena.promote(fighter(), refuse)
    MlflowClient().delete_model_version_tag(NAME, "4", "imageproof.gate")  # the last to be written
    assert "judged by no gate" in finding(GateRefusedError, rollback, NAME, to="4")
    assert not find_origin(chain.uri("4")).check_gate_record()


def assert_one_chain(moves):
    assert moves[0].before is None
    assert all(move.before == previous.after for previous, move in pairwise(moves))
    assert [move.number for move in moves] == list(range(1, len(moves) + 1))
    assert Registry(NAME).champion() == moves[-1].after
