"""The rows that a version has seen: recorded with it, and left out where it is judged."""

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path

import arena
import numpy as np
import pytest
from arena import EVEN, accept, fighter
from example import NAME, context, project_with, write_params
from helpers import finding, record_outputs
from mlflow import MlflowClient

from imageproof.artifacts import WORKSPACE
from imageproof.base.errors import GateRefusedError, IntegrityError
from imageproof.cli import results
from imageproof.judge.gate import Decision
from imageproof.registry import promotion
from imageproof.registry.evidence import Gate
from imageproof.registry.seen_rows import DataRows, read_rows, rows_of_split
from imageproof.registry.version import find_origin
from imageproof.registry.versions import Registry, find, trained_run

ROWS = 1797  # of the hold-out


@pytest.fixture
def gate(ring: Path) -> Gate:
    return Gate(project_with({"promote.max_latency_ms": None, "promote.min_accuracy": 0.9}))


def learned(count: int) -> DataRows:
    """Rows of a version that was trained on the first `count` hold-out rows, of 1,000 others."""
    rows = rows_of_split(WORKSPACE)
    return DataRows(np.sort(rows.holdout)[:count], np.sort(rows.holdout)[count:1000])


def champion(rows: DataRows | None, *falls_for: int) -> str:
    """The run of a new champion that carries these rows."""
    run = fighter(*falls_for)
    promotion.promote(run, NAME, judge=accept, rows=rows)
    return run.run_id


def check_of(decision: Decision | None, name: str) -> str:
    assert decision
    [text] = [check.found for check in decision.checks if check.name == name]
    return text


def test_version_carries_its_rows(gate: Gate) -> None:
    promotion.promote(fighter(), NAME, judge=accept, rows=gate.data_rows(fighter()))
    rows = read_rows(find_origin(f"models:/{NAME}/1"))
    assert rows
    assert [len(rows.seen), len(rows.holdout)] == [1000 + 500 + ROWS, ROWS]
    for hashes in rows:
        assert (np.sort(hashes) == hashes).all()
    run_id = find(f"models:/{NAME}/1").run_id
    paths = {file.path for file in MlflowClient().list_artifacts(run_id, "gate")}
    assert {f"gate/{NAME}-1-seen-rows.npy", f"gate/{NAME}-1-holdout-rows.npy"} <= paths
    assert gate.data_rows(fighter(holdout_md5="f" * 32)) is None  # of another split


def test_changed_rows_of_a_version_are_refused(gate: Gate) -> None:
    run = trained_run(champion(rows_of_split(WORKSPACE)))
    uri = f"runs:/{run.run_id}/gate/{NAME}-1-seen-rows.npy"
    [path] = Path("mlartifacts").rglob(f"{NAME}-1-seen-rows.npy")
    np.save(path, np.zeros(1, "S16"))
    line = finding(IntegrityError, partial(read_rows, find_origin(f"models:/{NAME}/1")))
    assert line == f"{uri}: is not what the gate wrote; delete the version"
    path.unlink()
    assert read_rows(find_origin(f"models:/{NAME}/1")) is None


def test_rows_that_the_champion_learned_are_left_out(gate: Gate) -> None:
    champion(learned(1000), EVEN)  # what it falls for are rows 600 to 630
    outcome = arena.promote(fighter(), gate)
    assert outcome.move
    assert outcome.decision
    assert [pair.rows for pair in outcome.decision.compared] == [ROWS, ROWS - 1000]
    assert outcome.decision.figures["champion_accuracy"] == 1


def test_copies_of_training_rows_are_left_out(gate: Gate) -> None:
    arena.rehash(np.concatenate([np.arange(10_000, 10_010), np.arange(ROWS - 10)]))
    record_outputs()
    outcome = arena.promote(fighter(), gate)
    text = check_of(outcome.decision, "min_unseen")
    assert text == "1,787 of 1,797 hold-out rows are unseen by version 1"


def test_unknown_rows_are_never_unseen(gate: Gate) -> None:
    run_id = champion(None)
    decision = arena.promote(fighter(), gate).decision
    assert decision
    assert decision.undecided
    text = check_of(decision, "min_unseen")
    assert text == "the rows that version 1 has seen are unknown: none counts as unseen"
    cure = f"`imageproof promote --run {run_id}`, where its split is, records its rows"
    assert decision.note.startswith(
        f"{cure}; or a person decides: `imageproof rollback --to 2 --force"
    )
    line = finding(GateRefusedError, partial(promotion.rollback, NAME, to="2"))
    assert line.startswith(f"models:/{NAME}/2: undecided by min_unseen; ")
    assert arena.promote(trained_run(run_id), gate).decision is None
    assert arena.promote(fighter(), gate).move


def test_too_few_unseen_rows_are_undecided(gate: Gate) -> None:
    champion(learned(ROWS - 99))
    outcome = arena.promote(fighter(), gate)
    assert outcome.as_dict()["verdict"] == "undecided"
    assert find_origin(f"models:/{NAME}/2").gate["gate"] == "undecided"
    assert Registry(NAME).champion() == "1"


def test_undecided_command_ends_with_5(ring: Path) -> None:
    write_params({"promote.max_latency_ms": None, "promote.min_unseen": 50})
    champion(learned(ROWS - 49))
    with pytest.raises(GateRefusedError) as error:
        results.promote(context(), run=fighter().run_id)
    assert error.value.exit_code == 5
    assert str(error.value) == (
        "version 2: undecided by min_unseen; add images (`dvc add data`), or lower "
        "promote.min_unseen; or a person decides: "
        "`imageproof rollback --to 2 --force --reason TEXT`; nothing moved"
    )


def test_former_champion_with_unknown_rows_is_left_out(gate: Gate) -> None:
    champion(None)
    champion(learned(ROWS - 50))
    champion(rows_of_split(WORKSPACE), EVEN)
    decision = arena.promote(fighter(EVEN), gate).decision
    assert check_of(decision, "max_total_loss").endswith(
        "of version 3, the best so far (left out, as the rows that they have seen are unknown: "
        "version 1) (left out, as too few rows are unseen: version 2)"
    )


def test_decision_is_the_same_when_judged_again(gate: Gate) -> None:
    champion(rows_of_split(WORKSPACE))
    champion(learned(300), EVEN)
    run = fighter()
    outcome = arena.promote(run, gate, reason="because")
    assert outcome.decision
    origin = find_origin(f"models:/{NAME}/3")
    record = json.loads(origin.check_gate_record())
    assert (record["reason"], record["accepted"]) == ("because", True)
    assert json.loads(origin.gate["gate_figures"]) == pytest.approx(outcome.decision.figures)
    with promotion.fetched(run.uri, run.sha256) as files:
        again = gate(run, files, record["challenger"], record["champion"])
    assert json.loads(json.dumps(asdict(again))) == {key: record[key] for key in asdict(again)}
    assert [pair["models"] for pair in record["compared"]] == [
        ["version 3"],
        ["version 3", "2"],
        ["version 3", "1"],
    ]
    assert [pair["rows"] for pair in record["compared"]] == [ROWS, ROWS - 300, ROWS]
    assert len({pair["md5"] for pair in record["compared"]}) == 2
