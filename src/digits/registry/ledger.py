"""Turns to decide, on a server: a chain of runs, one for each promotion or rollback.

MLflow never changes a param of a run, so of several processes that log the same param of the same
run, the first wins. Two such params of a turn make the chain:

- `decided`: the champion's last move as of this turn, which is this turn's own or the one before.
  The process that takes the next turn logs the one before it. A holder that was taken for dead but
  still runs can then move nothing.
- `next`: the run of the next turn.

A holder changes a tag of its run while it runs. A waiting process counts how often it read the same
value. It compares no times, so wrong clocks and outages do no harm.
"""

import threading
import time
from contextlib import suppress
from functools import partial
from random import uniform
from uuid import uuid4

from mlflow import MlflowClient
from mlflow.entities import Experiment, Run, ViewType
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_USER

from digits.core.errors import BusyError
from digits.core.process import has_ended, this_process
from digits.registry.history import account
from digits.tracking import descriptions, spool, store
from digits.tracking.descriptions import NOTE
from digits.tracking.runs import PROCESS_TAG
from digits.tracking.store import patiently

POLL_S = 1.0  # on average; random, so that waiting processes do not ask all at once
RENEW_S = 2.0
# Unchanged polls after which a holder is taken for dead: a minute, or some seconds where its
# process is seen to have ended. (Containers may share a host name, and see no others' processes.)
PATIENCE, PATIENCE_WITH_DEAD = 60, 5

NOTHING = "nothing"  # `decided` before the first move
_DECIDED, _NEXT = "decided", "next"
_BEFORE, _BEAT = "before", "beat"
_LAST = "last"  # tag of the experiment: a turn from which `next` leads to the last one


class Turn:
    """A turn on an SQLite store: the lock of its file suffices, so nothing is recorded."""

    last = NOTHING
    """What was decided last before this turn."""

    def decide(self, move: str) -> None:
        """Fix a move as decided, so that others complete it if this process does not.

        Raises:
            BusyError: another process took this one for dead.
        """

    def latest(self) -> str:
        """What was decided last by now."""
        return NOTHING


class ServerTurn(Turn):
    """A turn in the ledger, which is an experiment of MLflow's with this name."""

    def __init__(self, ledger: str) -> None:
        self._client, self._ledger = MlflowClient(), ledger
        self._id = uuid4().hex
        self._experiment = patiently(lambda: _opened(self._client, ledger, f"{ledger}-{self._id}"))
        self._run_id = ""
        self._linked = False
        self._over = threading.Event()

    def wait(self, wait_s: float) -> None:
        """Return when the turn is this process's.

        Raises:
            BusyError: other turns do not end for `wait_s` seconds.
        """
        deadline, seen, unchanged = time.monotonic() + wait_s, ("", ""), 0
        run_id = self._experiment.tags[_LAST]
        while True:
            tail = patiently(partial(self._follow, run_id))
            run_id = tail.info.run_id
            now = (run_id, tail.data.tags.get(_BEAT, ""))
            seen, unchanged = now, unchanged + 1 if now == seen else 0
            if unchanged > _patience(tail):
                if self._take_after(tail):
                    return
            elif time.monotonic() > deadline:
                raise BusyError(
                    f"experiment {self._ledger}: another promotion or rollback "
                    f"({tail.data.tags.get(MLFLOW_USER)}, {tail.data.tags.get(PROCESS_TAG)}) runs "
                    f"for over {wait_s:g} s; wait for it or end it"
                )
            else:
                time.sleep(uniform(0.5, 1.5) * POLL_S)

    def decide(self, move: str) -> None:
        """Fix the decision of this turn; another one raises BusyError."""
        if self._agree(self._run_id, _DECIDED, move) != move:
            raise BusyError(
                f"experiment {self._ledger}: this process stood still for so long that another "
                "process took its turn; nothing was moved, run it again"
            )

    def latest(self) -> str:
        """What was decided last by now: later turns exist if this process was taken for dead."""
        decided, run = NOTHING, self._run(self._run_id)
        while True:
            decided = run.data.params.get(_DECIDED, decided)
            if _NEXT not in run.data.params:
                return decided
            run = self._run(run.data.params[_NEXT])

    def give_back(self) -> None:
        """End the turn.

        If the server is away, the next process waits for `PATIENCE`, and the next command here
        ends the run.
        """
        self._over.set()
        if not self._run_id:
            return
        status = "FINISHED" if self._linked else "KILLED"  # who gave up, or got no answer
        try:
            # set_terminated would print where the run is
            self._client.update_run(self._run_id, status)
        except MlflowException as error:
            with suppress(OSError):  # a full disk must not hide why the decision failed
                if store.is_away(error):
                    spool.log_end(self._run_id, status, now=False)

    def _take_after(self, tail: Run) -> bool:
        """Whether this process is the first that takes the turn after `tail`, which is over."""
        tail_id = tail.info.run_id
        self.last = patiently(lambda: self._agree(tail_id, _DECIDED, self._decided_before(tail)))
        self._run_id = self._run_id or patiently(self._created)
        patiently(lambda: self._client.set_tag(self._run_id, _BEFORE, tail_id))
        if patiently(lambda: self._agree(tail_id, _NEXT, self._run_id)) != self._run_id:
            return False
        self._linked = True
        threading.Thread(target=self._renew, daemon=True).start()
        patiently(lambda: self._show_as_last(tail))
        return True

    def _created(self) -> str:
        """The run of this turn; an earlier call may have made it and got no answer."""
        experiment_id = self._experiment.experiment_id
        if found := self._client.search_runs([experiment_id], f"tags.{_BEAT} = '{self._id}'"):
            return str(found[0].info.run_id)
        tags = {PROCESS_TAG: this_process(), MLFLOW_USER: account(), _BEAT: self._id}
        created = self._client.create_run(experiment_id, tags=tags, run_name=f"by {account()}")
        return str(created.info.run_id)

    def _show_as_last(self, tail: Run) -> None:
        self._client.set_experiment_tag(self._experiment.experiment_id, _LAST, self._run_id)
        if tail.info.status == "RUNNING":  # its process did not end it
            self._client.update_run(tail.info.run_id, "KILLED")

    def _decided_before(self, tail: Run) -> str:
        """What `tail` decided, or the turn before it if it decided nothing."""
        if _DECIDED in tail.data.params:
            return str(tail.data.params[_DECIDED])
        return str(self._run(tail.data.tags[_BEFORE]).data.params[_DECIDED])

    def _agree(self, run_id: str, key: str, value: str) -> str:
        """Log a param that no run changes later; return the value of the process that was first."""
        try:
            self._client.log_param(run_id, key, value)
        except MlflowException:
            present = self._run(run_id).data.params.get(key)
            if present is None:
                raise
            return str(present)
        return value

    def _follow(self, run_id: str) -> Run:
        """The last turn of the chain that this one is part of."""
        run = self._run(run_id)
        while following := run.data.params.get(_NEXT):
            run = self._run(following)
        if run.info.lifecycle_stage == "deleted":  # by a person, who tidies up
            self._client.restore_run(run.info.run_id)
        return run

    def _run(self, run_id: str) -> Run:
        return self._client.get_run(run_id)

    def _renew(self) -> None:
        while not self._over.wait(RENEW_S):
            with suppress(MlflowException):  # the next beat may succeed
                self._client.set_tag(self._run_id, _BEAT, uuid4().hex)


def _patience(turn: Run) -> int:
    """The number of unchanged polls after which a turn is over; below 0 if it was given back."""
    if turn.info.status != "RUNNING":
        return -1
    ended = has_ended(turn.data.tags.get(PROCESS_TAG, ""))
    return PATIENCE_WITH_DEAD if ended else PATIENCE


def _opened(client: MlflowClient, name: str, first_name: str) -> Experiment:
    """The experiment of the ledger; made if missing.

    It gets its name last, when it has its first turn. Names are unique: of several experiments that
    are created at once, one becomes the ledger. After a call without answer, call again with the
    same `first_name`.
    """
    if ledger := _found(client, name):
        return ledger
    tags = {NOTE: descriptions.of_part(name)}
    begun = _found(client, first_name)
    made = begun.experiment_id if begun else client.create_experiment(first_name, tags=tags)
    runs = client.search_runs([made]) or [client.create_run(made, run_name="before the first turn")]
    first = runs[0].info.run_id
    client.log_param(first, _DECIDED, NOTHING)
    client.update_run(first, "FINISHED")
    client.set_experiment_tag(made, _LAST, first)
    try:
        client.rename_experiment(made, name)
    except MlflowException:
        ledger = _found(client, name)
        if ledger is None:
            raise
        if ledger.experiment_id != made:  # another process came first
            client.delete_experiment(made)
        return ledger
    return client.get_experiment(made)


def _found(client: MlflowClient, name: str) -> Experiment | None:
    # by a search, as MLflow's basic-auth answers other questions after missing ones with 403
    found = client.search_experiments(ViewType.ALL, filter_string=f"name = '{name}'")
    if found and found[0].lifecycle_stage == "deleted":  # by a person, who tidies up
        client.restore_experiment(found[0].experiment_id)
    return found[0] if found else None
