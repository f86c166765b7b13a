"""The lock: one decision at a time, beside a file and on a server."""

import threading

import pytest
from arena import NAME
from mlflow import MlflowClient
from support import finding

from digits.core.errors import BusyError
from digits.registry import ledger, lock
from digits.registry.ledger import NOTHING, ServerTurn
from digits.tracking import store

LEDGER = f"{NAME}-decisions"


def test_a_second_decision_waits_and_then_gives_up(tracked):
    with lock.exclusive(NAME):
        line = finding(BusyError, lambda: lock.exclusive(NAME, wait_s=0.1).__enter__())
    assert "another promotion" in line
    with lock.exclusive(NAME, wait_s=0.1):
        pass


@pytest.fixture
def impatient(tracked, monkeypatch):
    """A store whose turns are as a server's, with little patience."""
    store.connect()
    monkeypatch.setattr(ledger, "POLL_S", 0.02)
    monkeypatch.setattr(ledger, "RENEW_S", 0.02)
    monkeypatch.setattr(ledger, "PATIENCE", 50)


def turn(wait_s=0.1):
    return lock._turn(NAME, wait_s)


def fall_silent(lost: ServerTurn) -> None:
    lost._over.set()  # its thread renews no more


def test_on_a_server_the_next_waits_for_the_turn_and_leaves_nothing_if_it_gets_none(impatient):
    with turn():
        line = finding(BusyError, lambda: turn().__enter__())
    assert line.startswith(f"experiment {LEDGER}: another promotion or rollback (")
    with turn():
        pass
    client = MlflowClient()
    [experiment] = client.search_experiments(filter_string=f"name = '{LEDGER}'")
    assert len(client.search_runs([experiment.experiment_id])) == 3  # the first, and two turns
    assert client.search_registered_models() == []


def test_on_a_server_it_is_not_taken_from_a_holder_that_lives(impatient, monkeypatch):
    monkeypatch.setattr(ledger, "PATIENCE", 20)
    with turn() as held:
        assert finding(BusyError, lambda: turn(3).__enter__())
        held.decide("a move")
    with turn() as following:
        assert following.last == "a move"


def test_on_a_server_a_silent_holder_is_passed_over_and_learns_it(impatient):
    with turn() as first:
        first.decide("move 1")
    with turn() as silent:
        fall_silent(silent)
        with turn(60) as following:
            assert "nothing was moved" in finding(BusyError, lambda: silent.decide("move 2"))
            following.decide("move 2, another")
            assert MlflowClient().get_run(silent._run_id).info.status == "KILLED"
        assert silent.latest() == "move 2, another"
    with turn() as last:
        assert last.last == "move 2, another"


def test_on_a_server_what_a_silent_holder_decided_counts(impatient):
    with turn() as silent:
        silent.decide("move 1")
        fall_silent(silent)
        with turn(60) as following:
            assert following.last == "move 1"


def test_of_many_that_begin_at_once_all_get_a_turn_in_one_ledger(impatient):
    seen, errors = [], []

    def take() -> None:
        try:
            with turn(60) as held:
                before = held.last
                held.decide(f"{before}+" if before != NOTHING else "+")
                seen.append(before)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert seen == [NOTHING, *("+" * n for n in range(1, 8))]
    names = [each.name for each in MlflowClient().search_experiments()]
    assert [name for name in names if name.startswith(LEDGER)] == [LEDGER]


def test_what_people_tidied_away_is_taken_back(impatient):
    with turn() as first:
        first.decide("move 1")
    client = MlflowClient()
    [experiment] = client.search_experiments(filter_string=f"name = '{LEDGER}'")
    for run in client.search_runs([experiment.experiment_id]):
        client.delete_run(run.info.run_id)
    client.delete_experiment(experiment.experiment_id)
    with turn() as following:
        assert following.last == "move 1"
