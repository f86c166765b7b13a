"""The history of the champion: how moves are kept, read and shown; the origin of a version."""

from dataclasses import replace
from getpass import getuser

import arena
from arena import accept, fighter
from example import NAME
from helpers import finding, git
from mlflow import MlflowClient

from imageproof.base.errors import IntegrityError, UsageError
from imageproof.cli._console import move_lines
from imageproof.judge.gate import Check, approval
from imageproof.registry import _history
from imageproof.registry._history import Move
from imageproof.registry._promotion import rollback
from imageproof.registry._version import find_origin
from imageproof.registry._versions import Registry, find
from imageproof.system._console import show

MOVE = Move(1, "promote", None, "1", "now", "Ada", "why – é", {"p": 1}, "yes")
KEY = "imageproof.champion.000001.0-1"


def description():
    return MlflowClient().get_registered_model(NAME).description


def test_table_names_approver_and_figures(ring, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    figures = {"holdout_accuracy": 0.9965, "worse_p_value": 0.03}
    checks = (Check("better", True, "", "", figures), approval("Ada", ""))

    def approved(*arguments):
        return replace(accept(*arguments), checks=checks)

    arena.promote(fighter(), approved, reason="why [/b] \x1b[31m")
    show(move_lines(Registry(NAME).moves()))
    table = capsys.readouterr().out
    assert "\x1b" not in table
    for text in ("promote - → 1", "[/b]", "approved", "accuracy 0.9965", "p 0.03"):
        assert text in table
    assert f"| {getuser()}, approved by Ada | " in description()


def test_trace_leads_back_to_code_data_params_and_environment(chain):
    origin = find_origin(f"models:/{NAME}@champion")
    assert (origin.version, origin.aliases) == ("3", ["champion"])
    assert (origin.git_commit, origin.git_dirty) == (git("rev-parse", "HEAD"), "false")
    assert (origin.experiment, origin.data_md5) == (NAME, "d" * 32)
    assert origin.params == arena.RECORDED
    assert origin.verdict == "accepted"
    for uri, text in (
        ("models:/imageproof/7", "there are 1, 2, 3"),
        ("models:/letters/1", "there is none"),
        ("models:/\udcff/1", "models:/NAME/VERSION"),  # a byte that is no UTF-8
    ):
        assert text in finding(UsageError, find, uri)


def test_two_moves_at_once_both_stand_and_the_champion_is_last():
    moves = [
        Move(number, "promote", old, new, "now")
        for number, old, new in ((1, None, "1"), (2, "1", "2"), (2, "1", "3"))
    ]
    tags = {move.key: move.to_tag() for move in moves}
    assert _history.read(tags, "2", {}) == [moves[0], moves[2], moves[1]]
    assert _history.read(tags, "3", {}) == moves
    later = Move(3, "promote", "2", "4", "now")  # 3 was champion for a moment only
    tags[later.key] = later.to_tag()
    assert _history.read(tags, "4", {}) == [moves[0], moves[2], moves[1], later]


def test_rollback_steps_back_to_who_was_champion_before():
    moves = []
    for version in "1213":
        moves.append(_history.next_move(moves, "promote", version, reason=""))
    for previous in "121":
        assert _history.previous_champion(moves, {*"123"}) == previous
        moves.append(_history.next_move(moves, "rollback", previous, reason=""))
    assert _history.previous_champion(moves, {*"123"}) is None


def test_move_is_read_as_written_and_a_damaged_one_is_a_line():
    tags = {MOVE.key: MOVE.to_tag()}
    assert tags == {KEY: "promote now by Ada"}
    assert _history.read(tags | {"other": "x"}, "1", {"1": {KEY: MOVE.to_json()}}) == [MOVE]
    assert _history.read(tags, "1", {}) == [replace(MOVE, reason="", figures={}, approval="")]
    for text in ("[" * 3000, replace(MOVE, number=2).to_json()):
        line = finding(IntegrityError, _history.read, tags, "1", {"1": {KEY: text}})
        assert line.startswith(f"tag {KEY} of version 1: is no move as imageproof writes it")
    line = finding(IntegrityError, _history.read, {KEY: "demote now by Ada"}, None, {})
    assert line.startswith(f"tag {KEY} of the registered model: is no move")


def test_models_page_shows_the_history_as_a_table(chain):
    rollback(NAME, to="1", reason="a | b")
    above, _, table = description().partition("## History of the champion\n\n")
    assert "imageproof rollback" in above
    rows = table.splitlines()
    assert len(rows) == 2 + 4
    assert rows[2].endswith(" | a &#124; b |")
    MlflowClient().update_registered_model(NAME, "mine")  # a person's stays
    rollback(NAME, to="2")
    assert description() == "mine"
