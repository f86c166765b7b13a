"""The lock: one decision at a time, beside a file and on a server."""

from functools import partial

import pytest
from arena import NAME, accept, fighter
from support import finding

from digits.core.errors import BusyError
from digits.registry import lock, promotion
from digits.tracking import store


def test_a_second_decision_waits_and_then_gives_up(tracked):
    with lock.exclusive(NAME):
        line = finding(BusyError, lambda: lock.exclusive(NAME, wait_s=0.1).__enter__())
    assert "another promotion" in line
    with lock.exclusive(NAME, wait_s=0.1):
        pass


@pytest.fixture
def queue(tracked, monkeypatch):
    """The lock of a server, with little patience."""
    store.connect()
    monkeypatch.setattr(lock, "POLL_S", 0.02)
    monkeypatch.setattr(lock, "RENEW_S", 0.02)
    monkeypatch.setattr(lock, "PATIENCE", 100)
    return f"{NAME}.deciding"


def test_on_a_server_the_first_ticket_has_the_right_and_the_next_waits(queue):
    with lock._server_lock(NAME, 0.1) as still_held:
        line = finding(BusyError, lambda: lock._server_lock(NAME, 0.1).__enter__())
        still_held()
    assert "digits.deciding" in line
    with lock._server_lock(NAME, 0.1):
        pass


def test_on_a_server_it_is_not_taken_from_a_holder_that_lives(queue, monkeypatch):
    monkeypatch.setattr(lock, "PATIENCE", 20)
    with lock._server_lock(NAME, 0.1) as still_held:
        assert finding(BusyError, lambda: lock._server_lock(NAME, 4).__enter__())
        still_held()


def test_on_a_server_a_silent_holder_is_passed_over_and_learns_it(queue):
    silent = lock._Ticket(queue)
    silent._over.set()
    with lock._server_lock(NAME, 60) as still_held:
        assert "nothing was moved" in finding(BusyError, silent.check)
        silent.give_back()
        still_held()


def test_on_a_server_a_queue_that_is_made_anew_renews_no_right(queue):
    lost = lock._Ticket(queue)
    lock.MlflowClient().delete_registered_model(queue)
    with lock._server_lock(NAME, 1) as still_held:  # its ticket has the same number
        assert finding(BusyError, lost.check)
        lost.give_back()
        still_held()


def test_who_lost_it_moves_no_alias(chain, monkeypatch):
    monkeypatch.setattr(lock, "_file_lock", lambda _path, s: lock._server_lock(NAME, s))

    def taken_for_dead(*asked):
        lock.MlflowClient().delete_registered_model(f"{NAME}.deciding")
        return accept(*asked)

    challenger = fighter()
    work = partial(promotion.promote, challenger, NAME, judge=taken_for_dead)
    assert "run it again" in finding(BusyError, work)
    assert (chain.champion(), len(chain.moves())) == ("3", 3)
