"""Promotion, rollback, history and trace of one registered model."""

import json
import shutil
from dataclasses import replace
from functools import partial
from getpass import getuser
from itertools import pairwise
from pathlib import Path

import arena
import numpy as np
import pytest
from arena import ALSO_EVEN, EVEN, FEW, FEW_MORE, ONE_CLASS, TEST_ONLY, accept, fighter
from example import NAME, project_with, write_params
from helpers import active_run, finding, record_outputs
from mlflow import MlflowClient

from imageproof.artifacts import WORKSPACE
from imageproof.base import machine
from imageproof.base.dataset import Split, save_arrays, save_split
from imageproof.base.errors import (
    BusyError,
    DataError,
    GateRefusedError,
    IntegrityError,
    UsageError,
)
from imageproof.base.files import md5, write_json
from imageproof.cli.console import print_moves, print_outcome
from imageproof.judge.gate import Check, approval
from imageproof.mlflow import store
from imageproof.outputs import SPLIT_TAGS
from imageproof.registry import card, promotion
from imageproof.registry import history as journal
from imageproof.registry.evidence import Gate
from imageproof.registry.version import find_origin
from imageproof.registry.versions import Registry, account, find, trained_run


@pytest.fixture
def promote(ring):
    # how fast this machine is now decides nothing here
    quick = {"promote.max_latency_ms": None, "promote.min_accuracy": 0.9}
    return partial(arena.promote, judge=gate(quick))


def gate(changes):
    return Gate(project_with(changes))


def refuse(*arguments):
    checks = (Check("min_accuracy", False, "", ""), Check("paired_test", False, "", ""))
    return replace(accept(*arguments), checks=checks)


def artifacts_of(version):
    """The folder of a version's model."""
    return arena.files_of(trained_run(find(f"models:/{NAME}/{version}").run_id))


class TestPromote:
    def test_a_first_a_better_and_an_equal_model_become_champion(self, promote, capsys):
        for version, falls_for in (("1", [EVEN]), ("2", []), ("3", [FEW])):
            outcome = promote(fighter(*falls_for))
            assert outcome.move
            assert Registry(NAME).champion() == outcome.version == version
        print_outcome(outcome, as_json=False)
        line = "not better than the champion: right on 0.9989 of the hold-out rows against 1.0000"
        assert line in capsys.readouterr().out

    def test_memorised_holdout_is_refused(self, promote):
        decision = promote(fighter(TEST_ONLY)).decision
        assert decision.failed == ["holdout_test"]
        assert decision.figures["holdout_accuracy"] == 1

    def test_worse_than_the_baseline_is_refused(self, promote):
        classes = WORKSPACE.read_split("holdout").data.labels
        answers = WORKSPACE.baseline.read_predictions()
        save_arrays(WORKSPACE.baseline.predictions, answers | {"holdout": np.eye(10)[classes]})
        record_outputs()
        assert promote(fighter(EVEN)).decision.failed == ["beats_baseline"]

    def test_baseline_of_other_rows_is_refused(self, promote):
        answers = WORKSPACE.baseline.read_predictions()
        save_arrays(WORKSPACE.baseline.predictions, answers | {"holdout": np.eye(10)})
        record_outputs()
        line = finding(IntegrityError, lambda: promote(fighter()))
        assert "has answers to 10 hold-out rows, there are 1,797; `dvc repro` makes it anew" in line

    def test_forged_calibration_is_refused(self, promote):
        for forged, refused_by in (
            (1e-9, ["max_unsure"]),  # neighbouring classes are in all answer sets
            (1.0, ["coverage_test", "max_unsure"]),  # no class is in any
        ):
            decision = promote(fighter(calibration=np.full(100, forged, np.float32))).decision
            assert decision.failed == refused_by

    def test_worse_model_is_refused(self, promote):
        promote(fighter(EVEN))
        worse = {"paired_test", "max_accuracy_loss"}
        # one class collapses at equal accuracy, or others are wrong besides
        for challenger, refused_by in (
            ([ONE_CLASS], {"max_sensitivity_loss"}),
            ([EVEN, ALSO_EVEN], worse),
        ):
            outcome = promote(fighter(*challenger))
            assert refused_by <= set(outcome.decision.failed)
            assert ONE_CLASS not in challenger or refused_by == set(outcome.decision.failed)
            assert Registry(NAME).champion() == "1"
            assert str(find(f"models:/{NAME}@challenger").version) == outcome.version

    def test_model_worse_on_one_writer_is_refused(self, promote):
        promote(fighter(ALSO_EVEN))
        rows = np.arange(2000)
        arena.describe({"meta_writer": np.where((rows >= 600) & (rows < 660), "Ann", "Bob")})
        line = finding(IntegrityError, partial(promote, fighter(EVEN)))
        assert line.startswith(f"{WORKSPACE.packed_rows}: md5 ")
        record_outputs()
        [check] = [c for c in promote(fighter(EVEN)).decision.checks if not c.passed]
        assert check.name == "max_slice_loss"
        assert check.found.startswith("writer: Ann: 0.5333 against 1.0000 on 60 rows; worse with p")
        WORKSPACE.packed_rows.unlink()
        line = finding(DataError, partial(promote, fighter(EVEN)))
        assert line == f"{WORKSPACE.packed_rows}: not found; `dvc repro pack` makes it"

    def test_few_writers_prove_nothing(self, promote):
        holdout = WORKSPACE.read_split("holdout")
        writers = np.arange(len(holdout.rows)) // 400  # five, of whom one loses rows
        grouped = replace(holdout.data, groups=writers)
        save_split(WORKSPACE.split("holdout"), Split(grouped, holdout.rows))
        record_outputs()
        promote(fighter(ALSO_EVEN))
        decision = promote(fighter(ALSO_EVEN, EVEN)).decision
        checks = {check.name: check for check in decision.checks}
        assert checks["paired_test"].passed
        assert "by 1 groups that differ; too few groups to tell" in checks["paired_test"].found
        alone = 0.9797  # the lower end of a class that is all right, on independent rows
        assert decision.figures["least_class_sensitivity"] < alone - 0.02

    def test_unknown_origin_is_refused(self, promote):
        dirty = {"git_dirty": "true", "git_changed": "src/a.py, b.py"}
        cure = " with uncommitted changes (src/a.py, b.py); commit them, then train again"
        for tags, name, end in (
            (dirty, "clean_commit", cure),
            ({"git_commit": "0" * 40}, "clean_commit", "000 is unknown here"),
            ({"data_md5": "e" * 32}, "data_validated", f", data.dvc has {'d' * 32}"),
        ):
            [check] = [c for c in promote(fighter(**tags)).decision.checks if not c.passed]
            assert check.name == name
            assert check.found.endswith(end)
        assert Registry(NAME).champion() is None

    def test_data_that_did_not_pass_is_refused(self, promote):
        path = Path("artifacts/validate/result.json")
        write_json(path, {"success": False, "critical": 2})
        record_outputs()
        for says in ("2 critical findings", "not found"):
            [check] = [c for c in promote(fighter()).decision.checks if not c.passed]
            assert check.name == "data_validated"
            assert says in check.found
            path.unlink(missing_ok=True)

    def test_another_signature_is_refused(self, promote):
        arena.promote(fighter(classes=12), accept)
        assert "same_signature" in promote(fighter()).decision.failed
        arena.promote(fighter(shape=(4, 5)), accept)
        assert "same_signature" in promote(fighter()).decision.failed

    def test_champion_is_judged_by_the_names_of_its_classes(self, ring):
        names = [f"class {letter}" for letter in "abcdefghij"]
        judge = gate({"promote.max_latency_ms": None, "data.class_names": names})
        for order, text in (
            (names[::-1], "1.0000 against 0.0000"),  # the same names in another order
            (["other", *names[1:]], "its classes are called otherwise"),
            ([f"{name}!" for name in names], "1.0000 against 1.0000"),  # all are called otherwise
        ):
            write_params({"data.class_names": order})
            arena.promote(fighter(), accept)
            write_params({"data.class_names": names})
            outcome = arena.promote(fighter(), judge)
            [check] = [c for c in outcome.decision.checks if c.name == "max_accuracy_loss"]
            assert check.found.startswith(text)
            assert check.passed == text.startswith("1")

    def test_model_that_calls_its_classes_otherwise_is_refused(self, ring):
        names = [f"class {letter}" for letter in "abcdefghij"]
        model = fighter(dvc_stage="train@mlp")
        judge = gate({"promote.max_latency_ms": None, "data.class_names": names})
        decision = arena.promote(model, judge).decision
        assert decision.failed == ["answers"]
        assert decision.checks[0].found == (
            "it calls its classes 0, 1, 2, …, params.yaml class a, class b, class c, …; "
            "`dvc repro -f -s train@mlp` trains it with these"
        )

    def test_answers_that_tell_nothing_are_refused(self, promote):
        promote(fighter())
        for fields, says in (
            ({"last": "Exp"}, "asked in one batch: 200 of 200 answers are no probabilities ("),
            ({"shape": (4, 5)}, "takes images (4, 5) and gives 10 classes; the hold-out rows are"),
            ({"classes": 12}, "takes images (8, 8) and gives 12 classes; the hold-out rows are"),
        ):
            outcome = promote(fighter(**fields))
            assert outcome.decision.failed == ["answers"]
            assert outcome.decision.checks[0].found.startswith(says)
        assert Registry(NAME).champion() == "1"

    def test_latency_is_of_mlflows_pyfunc(self, ring):
        judge = gate({"promote.max_latency_ms": 10_000})
        decision = arena.promote(fighter(), judge).decision
        [check] = [check for check in decision.checks if check.name == "max_latency_ms"]
        assert check.figures["latency_1_p95_ms"] > 0
        assert check.figures["latency_100_p95_ms"] > 0
        assert machine.cpu() in check.found

    def test_a_run_is_registered_once(self, promote):
        model = fighter()
        promote(fighter(EVEN))
        assert promote(model).version == "2"
        again = promote(model)
        assert (again.version, again.decision, again.move) == ("2", None, None)
        assert len(Registry(NAME).moves()) == 2

    def test_version_registered_by_hand_is_another(self, ring):
        run, client = fighter(), MlflowClient()
        client.create_registered_model(NAME)
        client.create_model_version(NAME, fighter(EVEN).uri, run_id=run.run_id)
        assert arena.promote(run, accept).version == "2"
        by_hand = find_origin(f"models:/{NAME}/1")
        assert "are not those" in finding(IntegrityError, by_hand.check_unchanged)

    def test_a_dry_run_leaves_no_trace(self, ring):
        judge = gate({"promote.max_latency_ms": None})
        outcome = promotion.preview(fighter(), NAME, judge=judge)
        assert outcome.decision.accepted
        assert Registry(NAME).champion() is None
        assert "there is none" in finding(UsageError, lambda: find(f"models:/{NAME}/1"))

    def test_other_or_hand_picked_rows_are_refused(self, promote):
        for split in ("train", "holdout"):
            model = fighter(**{SPLIT_TAGS[split]: "f" * 32})
            line = finding(IntegrityError, partial(promote, model))
            assert f"{WORKSPACE.split(split)} had md5 {'f' * 32}, dvc.lock has " in line
        model, path = fighter(EVEN, ALSO_EVEN), WORKSPACE.split("holdout")
        picked = WORKSPACE.read_split("holdout").data.take(np.arange(50))
        save_split(path, Split(picked, np.arange(50)))
        line = finding(IntegrityError, lambda: promote(model))
        assert line.startswith(f"{path}: md5 {md5(path)[:12]}, dvc.lock records ")
        record_outputs()  # whoever forges dvc.lock, too
        line = finding(IntegrityError, lambda: promote(model))
        assert f", dvc.lock has {md5(path)}, so hold-out rows may be" in line

    def test_split_by_other_params_is_refused(self, promote):
        lock, model = Path("dvc.lock").read_text(), fighter()
        for stage, key in (("split", "data.percent"), ("validate", "validate")):
            recorded = json.loads(lock)
            made_with = {"params.yaml": {key: 1, "seed": 9}}
            recorded["stages"].setdefault(stage, {})["params"] = made_with
            Path("dvc.lock").write_text(json.dumps(recorded))
            line = finding(IntegrityError, lambda: promote(model))
            assert line.startswith(f"{stage}: made with {key} 1, params.yaml has ")

    def test_max_total_loss_adds_up(self, ring):
        judge = gate({"promote.max_latency_ms": None, "promote.max_total_loss": 0.002})
        for falls_for in ([], [FEW]):
            assert arena.promote(fighter(*falls_for), judge).move
        worse = fighter(FEW, FEW_MORE)
        outcome = arena.promote(worse, judge)
        assert outcome.decision.failed == ["max_total_loss"]
        [check] = [c for c in outcome.decision.checks if not c.passed]
        assert "against 1.0000 of version 1, the best so far" in check.found
        shutil.rmtree(artifacts_of("1"))  # what it was found to answer is recorded
        assert arena.promote(worse, judge).decision.failed == ["max_total_loss"]
        MlflowClient().set_model_version_tag(NAME, "1", "imageproof.gate_right", "[" * 3000)
        work = partial(arena.promote, worse, judge)
        assert "models:/imageproof/1: its files are not those" in finding(IntegrityError, work)
        MlflowClient().delete_model_version(NAME, "1")
        outcome = arena.promote(worse, judge)
        assert outcome.move
        [check] = [c for c in outcome.decision.checks if c.name == "max_total_loss"]
        assert (
            "version 2, the best so far (left out, as they cannot answer: version 1)" in check.found
        )

    def test_former_champion_answers_new_rows(self, promote):
        arena.promote(fighter(), accept)
        arena.promote(fighter(EVEN), accept)
        outcome = promote(fighter(EVEN))
        assert "max_total_loss" in outcome.decision.failed
        assert outcome.decision.figures["best_accuracy"] == 1


def test_run_without_model_is_a_line(tracked):
    store.connect(NAME)
    assert "unknown" in finding(UsageError, lambda: trained_run("f" * 32))
    with active_run("empty", params={}, tags={}) as run:
        pass
    line = finding(DataError, lambda: trained_run(run.info.run_id))
    assert "finished, without model" in line


class TestRollback:
    def test_goes_to_the_previous_champion_and_then_further_back(self, chain):
        assert promotion.rollback(NAME).after == "2"
        assert promotion.rollback(NAME).after == "1"
        assert "no previous champion" in finding(UsageError, lambda: promotion.rollback(NAME))
        assert chain.champion() == "1"

    def test_goes_to_a_named_version_and_says_why(self, chain):
        for to, says in (("9", "there are 1, 2, 3"), ("3", "already")):
            assert says in finding(UsageError, partial(promotion.rollback, NAME, to=to))
        move = promotion.rollback(NAME, to="1", reason="3 is slow")
        assert (move.before, move.after, move.reason) == ("3", "1", "3 is slow")
        assert chain.moves()[-1].action == "rollback"
        ends = [(move.before, move.after) for move in chain.moves()]
        assert ends == [(None, "1"), ("1", "2"), ("2", "3"), ("3", "1")]
        assert chain.moves()[0].figures == {"figure": 1.0}

    def test_version_that_no_gate_accepted_needs_force(self, chain):
        first, by_hand, client = (
            trained_run(find(f"models:/{NAME}/1").run_id),
            fighter(),
            MlflowClient(),
        )
        for run in (fighter(), first):
            arena.promote(run, refuse)
        client.create_model_version(NAME, by_hand.uri, by_hand.run_id, model_id=by_hand.model_id)
        rollback = partial(promotion.rollback, NAME)
        for version, says in (
            ("4", "refused by min_accuracy, paired_test"),
            ("5", "judged by no gate"),
        ):
            line = finding(GateRefusedError, partial(rollback, to=version))
            assert line.startswith(f"models:/{NAME}/{version}: {says}; ")
            line = finding(UsageError, partial(rollback, to=version, force=True))
            assert line == "--force: needs a reason, too: --reason TEXT"
            assert chain.champion() == "3"
            move = rollback(to=version, force=True, reason="3 is slow")
            assert move.reason == chain.moves()[-1].reason == f"forced, {says}: 3 is slow"
            assert rollback(to="1").reason == ""  # it was champion, though refused since
            assert rollback(to="3", force=True, reason="again").reason == "again"

    def test_deleted_version_is_left_out(self, chain):
        client = MlflowClient()
        client.delete_model_version(NAME, "2")
        client.delete_model_version(NAME, "3")
        assert promotion.rollback(NAME).after == "1"
        assert (chain.champion(), chain.moves()[-1].before) == ("1", None)


class TestHistory:
    def test_a_move_by_hand_is_a_link_of_the_chain(self, chain):
        MlflowClient().set_registered_model_alias(NAME, "champion", "1")
        assert (chain.moves()[-1].action, chain.moves()[-1].at) == ("elsewhere", "unknown")
        arena.promote(fighter(), accept)
        assert [m.action for m in chain.moves()[-2:]] == ["elsewhere", "promote"]
        assert chain.moves()[-1].before == "1"
        assert chain.moves()[-2].at == "unknown"

    def test_table_names_approver_and_figures(self, ring, capsys, monkeypatch):
        monkeypatch.setenv("COLUMNS", "80")
        figures = {"holdout_accuracy": 0.9965, "champion_accuracy": 0.9905, "worse_p_value": 0.03}
        checks = (Check("better", True, "", "", figures), approval("Ada", ""))

        def approved(*arguments):
            return replace(accept(*arguments), checks=checks)

        arena.promote(fighter(), approved, reason="why [/b] \x1b[31m")
        print_moves(Registry(NAME).moves(), as_json=False)
        table = capsys.readouterr().out
        assert "\x1b" not in table
        for text in ("[/b]", "approved", "Ada", "accuracy 0.9965", "champion's 0.9905", "p 0.03"):
            assert text in table
        page = MlflowClient().get_registered_model(NAME).description
        assert f"| {getuser()}, approved by Ada | " in page


def test_trace_leads_back_to_code_data_params_and_environment(chain):
    origin = find_origin(f"models:/{NAME}@champion")
    assert (origin.version, origin.aliases) == ("3", ["champion"])
    assert len(origin.git_commit) == 40
    assert origin.git_dirty == "false"
    assert origin.data_md5 == "d" * 32
    assert origin.params == arena.RECORDED
    assert origin.experiment == "imageproof"
    assert origin.gate["gate"] == "accepted"
    for uri, says in (
        ("imageproof", "models:/NAME/VERSION"),
        ("models:/imageproof/7", "there are 1, 2, 3"),
        ("models:/imageproof@nobody", "no such version"),
        ("models:/letters/1", "there is none"),
        ("models:/o'brien/1", "models:/NAME/VERSION"),
        (f"models:/imageproof/{'9' * 50}", "models:/NAME/VERSION"),
        ("models:/\udcff/1", "models:/NAME/VERSION"),  # a byte that is no UTF-8
    ):
        assert says in finding(UsageError, partial(find, uri))


def test_two_moves_at_once_both_stand_and_the_champion_is_last():
    moves = [
        journal.Move(number, "promote", old, new, "now")
        for number, old, new in ((1, None, "1"), (2, "1", "2"), (2, "1", "3"))
    ]
    tags = {move.key: move.to_tag() for move in moves}
    assert journal.read(tags, "2", {}) == [moves[0], moves[2], moves[1]]
    assert journal.read(tags, "3", {}) == moves


def test_promote_judges_again_if_another_champion_was_made(chain, monkeypatch):
    monkeypatch.setattr(promotion, "SQLITE", "none:///")  # as beside a server
    rival, judged = fighter(), []

    def judge(*arguments):
        judged.append(arguments[-1])
        if len(judged) == 1:
            arena.promote(rival, accept)
        return accept(*arguments)

    outcome = arena.promote(fighter(), judge)
    assert judged == ["3", "5"]
    assert (outcome.move.before, chain.champion()) == ("5", "4")
    assert_one_chain(chain.moves())


def test_rollback_is_busy_if_another_champion_was_made(chain, monkeypatch):
    real = promotion.find_origin

    def move_by_hand(uri):
        MlflowClient().set_registered_model_alias(NAME, "champion", "1")
        return real(uri)

    monkeypatch.setattr(promotion, "find_origin", move_by_hand)
    assert "another champion was made" in finding(BusyError, lambda: promotion.rollback(NAME))
    assert chain.champion() == "1"


def test_promote_is_busy_while_another_one_runs(chain, monkeypatch):
    monkeypatch.setattr(promotion, "WAIT_S", 0.1)
    run, lines = fighter(), []

    def judge(*arguments):
        lines.append(finding(BusyError, lambda: promotion.rollback(NAME)))
        return accept(*arguments)

    assert arena.promote(run, judge).move
    assert "another promotion or rollback holds it" in lines[0]


def assert_one_chain(moves):
    assert moves[0].before is None
    assert all(now.before == last.after for last, now in pairwise(moves))
    assert [move.number for move in moves] == list(range(1, len(moves) + 1))
    assert Registry(NAME).champion() == moves[-1].after


def test_killed_promotion_is_a_move_by_other_means(chain, monkeypatch):
    def killed(*_arguments):
        raise KeyboardInterrupt

    run = fighter()
    with monkeypatch.context() as context:
        context.setattr(MlflowClient, "set_registered_model_tag", killed)
        with pytest.raises(KeyboardInterrupt):
            arena.promote(run, accept)
    assert (chain.champion(), chain.moves()[-1].action) == ("4", "elsewhere")
    arena.promote(fighter(), accept)
    assert_one_chain(chain.moves())


@pytest.mark.parametrize(
    ("uri", "user", "name"),
    [
        ("http://ada@localhost:1", "bob", "ada"),
        ("http://localhost:1", "bob", "bob"),
        ("sqlite:///x.db", "bob", getuser()),
    ],
)
def test_account_is_the_servers_user_or_ours(tmp_path, monkeypatch, uri, user, name):
    monkeypatch.setenv("HOME", str(tmp_path))  # where MLflow keeps credentials
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", user)
    assert account() == name


def test_move_is_read_as_written():
    move = journal.Move(1, "promote", None, "1", "now", "Ada", "why – é", {"p": 1}, "yes")
    tags, details = {move.key: move.to_tag(), "other": "x"}, {"1": {move.key: move.to_json()}}
    assert tags[move.key] == "promote now by Ada"
    assert journal.read(tags, "1", details) == [move]
    assert journal.read(tags, "1", {}) == [replace(move, reason="", figures={}, approval="")]


@pytest.mark.parametrize("text", ["", "{}", "promote", "demote now by Ada"])
def test_damaged_move_is_a_line(text):
    line = finding(
        IntegrityError, lambda: journal.read({"imageproof.champion.000001.0-1": text}, None, {})
    )
    assert line.startswith(
        "tag imageproof.champion.000001.0-1 of the registered model: is no move as imageproof"
    )


@pytest.mark.parametrize(
    "changed", ["", "{}", "[" * 3000, {"by": "Eve"}, {"after": "2"}, {"at": "then"}, {"number": 2}]
)
def test_damaged_json_of_a_move_is_a_line(changed):
    move = journal.Move(1, "promote", None, "1", "now", "Ada")
    text = changed if isinstance(changed, str) else replace(move, **changed).to_json()
    tags = {move.key: move.to_tag()}
    line = finding(IntegrityError, lambda: journal.read(tags, "1", {"1": {move.key: text}}))
    assert line.startswith(f"tag {move.key} of version 1: is no move as imageproof writes it")


def test_models_page_shows_the_history_as_a_table(chain):
    promotion.rollback(NAME, to="1", reason="a | b")
    model = MlflowClient().get_registered_model(NAME)
    above, _, table = model.description.partition("## History of the champion\n\n")
    assert "imageproof rollback" in above
    rows = table.splitlines()
    assert len(rows) == 2 + 4
    assert "| rollback to 1 | n/a | " in rows[2]
    assert rows[2].endswith(" | a &#124; b |")
    moves = {
        key: text for key, text in model.tags.items() if key.startswith("imageproof.champion.")
    }
    assert [text.split()[0] for _, text in sorted(moves.items())] == ["promote"] * 3 + ["rollback"]
    assert all(len(text) < 60 for text in moves.values())
    MlflowClient().update_registered_model(NAME, "mine")  # a person's stays
    promotion.rollback(NAME, to="2")
    assert MlflowClient().get_registered_model(NAME).description == "mine"


def test_long_history_fits_into_the_description(chain):
    for k in range(60):
        registry = Registry(NAME)
        moves = registry.moves()
        version = str(1 + k % 2)
        registry.move(journal.next_move(moves, "rollback", version, reason="x" * 1000))
    card.write_history(registry)
    assert len(MlflowClient().get_registered_model(NAME).description) <= card.MAX_DESCRIPTION
