"""The rows that a version has seen: recorded with it, and left out where it is judged."""

import json
from dataclasses import asdict
from pathlib import Path

import arena
import numpy as np
import pytest
from arena import EVEN, accept, check_of, fighter
from example import NAME, context, write_params
from helpers import finding, record_outputs

from imageproof.artifacts import WORKSPACE
from imageproof.base._dataset import Dataset, Split, save_split
from imageproof.base.errors import GateRefusedError, IntegrityError
from imageproof.cli import _results
from imageproof.registry import _promotion
from imageproof.registry._model_files import fetched
from imageproof.registry._seen_rows import DataRows, read_rows, rows_of_split
from imageproof.registry._version import find_origin
from imageproof.registry._versions import Registry, trained_run

ROWS = 1797  # of the hold-out


@pytest.fixture
def gate(ring):
    return arena.gate()


def learned(count):
    """Rows of a version that was trained on the first `count` hold-out rows, of 1,000 others."""
    rows = rows_of_split(WORKSPACE)
    return DataRows(np.sort(rows.holdout)[:count], np.sort(rows.holdout)[count:1000])


def champion(rows, *falls_for):
    """The run of a new champion that carries these rows."""
    run = fighter(*falls_for)
    _promotion.promote(run, NAME, judge=accept, rows=rows)
    return run.run_id


def origin_of(version):
    return find_origin(f"models:/{NAME}/{version}")


def test_version_carries_its_rows(gate):
    run = fighter()
    _promotion.promote(run, NAME, judge=accept, rows=gate.data_rows(run))
    origin = origin_of("1")
    rows = read_rows(origin)
    assert [len(rows.seen), len(rows.holdout)] == [1000 + 500 + ROWS, ROWS]
    assert gate.data_rows(fighter(holdout_md5="f" * 32)) is None  # of another split
    arena.rehash(np.arange(1, ROWS + 1))
    assert gate.data_rows(run) is None  # dvc.lock records other hashes
    [path] = Path("mlartifacts").rglob(f"{NAME}-1-seen-rows.npy")
    np.save(path, np.zeros(1, "S16"))
    line = finding(IntegrityError, read_rows, origin)
    uri = f"runs:/{run.run_id}/gate/{path.name}"
    assert line.startswith(f"{uri}: is not what the gate wrote (SHA-256 of it ")
    path.unlink()
    assert read_rows(origin) is None


def test_unknown_rows_are_never_unseen(gate):
    run_id = champion(None)
    decision = arena.promote(fighter(), gate).decision
    cure = f"`imageproof promote --run {run_id}` with its data records its rows; "
    assert decision.note.startswith(cure)
    line = finding(GateRefusedError, _promotion.rollback, NAME, to="2")
    assert line.startswith(f"models:/{NAME}/2: undecided by min_unseen; ")
    assert arena.promote(trained_run(run_id), gate).decision is None
    assert arena.promote(fighter(), gate).move


def test_too_few_unseen_rows_are_undecided(ring, capsys):
    write_params({"promote.max_latency_ms": None, "promote.min_unseen": 50})
    champion(learned(ROWS - 49))
    assert finding(GateRefusedError, _results.promote, context(), run=fighter().run_id) == (
        "version 2: undecided by min_unseen; add images (`dvc add data`), or lower "
        "promote.min_unseen; or a person decides: "
        "`imageproof rollback --to 2 --force --reason TEXT`; nothing moved"
    )
    assert "or a person decides: " in capsys.readouterr().out
    assert Registry(NAME).champion() == "1"


def test_former_champion_with_unknown_rows_is_left_out(gate):
    champion(None)
    champion(learned(ROWS - 50))
    champion(rows_of_split(WORKSPACE), EVEN)
    outcome = arena.promote(fighter(EVEN), gate)
    unknown = " (left out, as the rows that they have seen are unknown: version 1)"
    too_few = " (left out, as too few rows are unseen: version 2)"
    for name, text in (("max_total_loss", ": +0.0000"), ("max_sensitivity_loss", "class 0")):
        assert check_of(outcome, name).found.endswith(f"{text}{unknown}{too_few}")


def test_former_champion_is_judged_by_labels_of_today(gate):
    assert arena.promote(fighter(), gate).move
    assert arena.promote(fighter(EVEN), accept).move
    split = WORKSPACE.read_split("holdout")
    labels = (split.data.labels + (np.arange(ROWS) < 100)) % 10
    corrected = Dataset(np.array(split.data.images), labels)
    save_split(WORKSPACE.split("holdout"), Split(corrected, split.rows))
    record_outputs()
    check = check_of(arena.promote(fighter(), gate), "max_total_loss")
    assert check.figures["best_accuracy"] == (ROWS - 100) / ROWS


def test_decision_is_the_same_when_judged_again(gate):
    champion(learned(ROWS - 110), EVEN)  # 100 rows of those below are just enough
    champion(learned(0))
    arena.rehash(np.concatenate([np.arange(10_000, 10_010), np.arange(ROWS - 10)]))
    record_outputs()
    run = fighter()
    decision = arena.promote(run, gate, reason="because").decision
    origin = origin_of("3")
    record = json.loads(origin.check_gate_record())
    assert (record["reason"], record["accepted"]) == ("because", True)
    assert record["right"] == [*decision.right]
    assert f" rows newer than the champion: {ROWS - 1010:,}, " in decision.checks[1].found
    with fetched(run.uri, run.sha256) as files:
        again = gate(run, files, record["version"], record["champion"])
    assert json.loads(json.dumps(asdict(again))) == {key: record[key] for key in asdict(again)}
    assert [(*pair["models"], pair["rows"]) for pair in record["compared"]] == [
        ("version 3", ROWS - 10),
        ("version 3", "2", ROWS - 10),
        ("version 3", "1", 100),
    ]
