"""Promotion and rollback: the only two operations that move the champion's alias."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Literal

from filelock import FileLock, Timeout
from mlflow import MlflowClient

from digits.core import events
from digits.core.errors import BusyError, DigitsError, UsageError, one_line, printable
from digits.core.files import text_sha256
from digits.evaluation.gate import Check, Decision
from digits.params import Params
from digits.registry.artifacts import ModelFiles, fetched
from digits.registry.candidate import candidate
from digits.registry.history import Move, line_of_succession, now
from digits.registry.trace import find_origin
from digits.registry.versions import Registry, TrainedRun, account, find
from digits.tracking import store
from digits.tracking.database import SQLITE

# of the challenger: run, files, name; of the champion: version, None if there is none
Judge = Callable[[TrainedRun, ModelFiles, str, str | None], Decision]

MAX_REASON = 1000  # characters; the reason becomes a tag
WAIT_S = 600.0  # for another promotion or rollback


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a promotion.

    `version` is None after a dry run, `decision` if the version was champion before.
    """

    run_id: str
    version: str | None
    champion: str | None
    decision: Decision | None
    move: Move | None = None

    @property
    def moved(self) -> bool:
        """Whether it became champion."""
        return self.move is not None

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        accepted = self.decision is None or self.decision.accepted
        return {**asdict(self), "accepted": accepted, "moved": self.moved}


def promote_training(
    model: str | None,
    run_id: str | None,
    experiment: str | None,
    *,
    params: Params,
    reason: str = "",
    dry_run: bool = False,
    approval: Check | None = None,
) -> Outcome:
    """Promote the training that `candidate` finds; with `dry_run` as `preview`, else `promote`."""
    from digits.registry.evidence import judge_by_holdout  # imports scipy

    name = params.project.name
    with candidate(model, run_id, experiment, params) as (run, root):
        judge = partial(judge_by_holdout, params=params, root=root, approval=approval)
        if dry_run:
            return preview(run, name, judge=judge)
        return promote(run, name, judge=judge, reason=reason)


def preview(run: TrainedRun, name: str, *, judge: Judge) -> Outcome:
    """Return what `promote` would decide; register, write and move nothing. Raises as `promote`."""
    with fetched(run.uri, run.sha256) as files:
        champion = Registry(name).champion()
        if champion and find(f"models:/{name}/{champion}").run_id == run.run_id:
            return Outcome(run.run_id, champion, champion, None)
        decision = judge(run, files, f"run {run.run_id[:8]}", champion)
        return Outcome(run.run_id, None, champion, decision)


def promote(run: TrainedRun, name: str, *, judge: Judge, reason: str = "") -> Outcome:
    """Register a run's model as challenger, judge it, and make it champion if accepted.

    The decision and the model card are written to the version in both cases. If another champion
    was made in the meantime, it is judged again. Another call completes one that was killed.

    Raises:
        BusyError: another promotion or rollback does not end.
        IntegrityError: the challenger's or the champion's files have changed.
    """
    with _alone(name), fetched(run.uri, run.sha256) as files:
        registry = Registry(name)
        outcome = _decide(registry, run, registry.register(run), files, judge, reason)
        _describe(registry.uri(str(outcome.version)), files)
    if outcome.move:
        _announce(name, outcome.move)
    return outcome


def rollback(name: str, *, to: str | None = None, reason: str = "") -> Move:
    """Make the previous champion, or version `to`, champion again; return the move.

    Raises:
        UsageError: there is no previous champion, no such version, or it is champion already.
        BusyError: another promotion or rollback does not end, or came first.
        IntegrityError: the version's files are gone or have changed.
    """
    with _alone(name):
        registry = Registry(name)
        moves = registry.moves()
        line = line_of_succession(moves)
        if not to and len(line) < 2:
            raise UsageError(f"models:/{name}: no previous champion; --to VERSION names another")
        version = to or line[-2]
        origin = find_origin(registry.uri(version))
        if version == _champion(moves):
            raise UsageError(f"{origin.uri}: is the champion already")
        with fetched(origin.uri, origin.model_sha256) as files:
            move = _new_move("rollback", moves, version, reason)
            if not registry.move(move):
                raise BusyError(f"models:/{name}: another champion was made; run it again")
            registry.drop_challenger(version)
            _describe(origin.uri, files)
    _announce(name, move)
    return move


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Beside an SQLite store, hold a file lock; the kernel releases that of a killed process."""
    uri = store.tracking_uri()
    if not uri.startswith(SQLITE):  # `Registry.move` reads the champion again
        yield
        return
    path = f"{uri.removeprefix(SQLITE)}.{name}.lock"
    try:
        lock = FileLock(path).acquire(timeout=WAIT_S)
    except Timeout:
        finding = f"{path}: another promotion or rollback holds it for over {WAIT_S:g} s"
        raise BusyError(finding) from None
    with lock:
        yield


def _decide(
    registry: Registry, run: TrainedRun, version: str, files: ModelFiles, judge: Judge, reason: str
) -> Outcome:
    while True:
        moves = registry.moves()
        champion = _champion(moves)
        if champion == version:
            registry.drop_challenger(version)
            return Outcome(run.run_id, version, champion, None)
        registry.set_challenger(version)
        decision = judge(run, files, f"version {version}", champion)
        _record(registry, version, run, decision, reason)
        outcome = Outcome(run.run_id, version, champion, decision)
        if not decision.accepted:
            return outcome
        move = replace(
            _new_move("promote", moves, version, reason),
            figures=dict(decision.figures),
            approval=decision.approval,
        )
        if registry.move(move):  # else another champion was made in the meantime
            registry.drop_challenger(version)
            return replace(outcome, move=move)


def _new_move(
    action: Literal["promote", "rollback"], moves: Sequence[Move], version: str, reason: str
) -> Move:
    number = moves[-1].number + 1 if moves else 1
    why = printable(reason)[:MAX_REASON]
    return Move(number, action, _champion(moves), version, now(), account(), why, {})


def _champion(moves: Sequence[Move]) -> str | None:
    return moves[-1].after if moves else None


def _record(
    registry: Registry, version: str, run: TrainedRun, decision: Decision, reason: str
) -> None:
    """Write the decision as a JSON artifact of the run and as tags of the version."""
    facts = {"at": now(), "by": account(), "reason": printable(reason)[:MAX_REASON]}
    whole = {"model": registry.name, "version": version, "accepted": decision.accepted}
    text = json.dumps(facts | whole | asdict(decision), indent=2, allow_nan=False)
    path = f"gate/{registry.name}-{version}-{facts['at'].replace(':', '')}.json"
    client = MlflowClient()
    client.log_text(run.run_id, text, path)
    tags = {f"gate_{name}": fact for name, fact in facts.items()} | {
        "gate": "accepted" if decision.accepted else "refused",
        "gate_approval": decision.approval,
        "gate_champion": decision.champion or "",
        "gate_failed": ", ".join(decision.failed),
        "gate_rows": decision.rows_md5,
        "gate_figures": json.dumps(decision.figures, allow_nan=False),
        "gate_record": f"runs:/{run.run_id}/{path}",
        "gate_sha256": text_sha256(text),
    }
    for key, value in tags.items():
        client.set_model_version_tag(registry.name, version, key, value)


def _describe(uri: str, files: ModelFiles) -> None:
    """Write the version's model card; if that fails, warn: the decision stands."""
    from digits.registry import card  # imports SciPy

    try:
        card.write(find_origin(uri), files)
    except Exception as error:
        print(f"warning: {uri}: no model card: {DigitsError(one_line(error))}", file=sys.stderr)


def _announce(name: str, move: Move) -> None:
    resource = {
        "prefect.resource.id": f"{name}.champion",
        "digits.model": name,
        "digits.version": str(move.after),
    }
    events.emit(f"{name}.{move.action}", resource, asdict(move))
