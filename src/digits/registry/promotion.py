"""Promotion and rollback: the only two that move the champion's alias."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from getpass import getuser
from typing import Any, Literal

from mlflow import MlflowClient

from digits.core.errors import UsageError
from digits.core.files import text_sha256
from digits.evaluation.gate import Decision
from digits.registry import history as journal
from digits.registry.artifacts import fetched
from digits.registry.history import Move
from digits.registry.lock import exclusive
from digits.registry.trace import origin
from digits.registry.versions import Registry, Trained, find, recorded_sha256

# challenger's model and name, champion's address and version (None: there is none)
Judge = Callable[[Trained, str, str | None, str | None], Decision]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of the promotion of a run; `version` is None after a dry run of an unregistered
    one, `decision` is None where the version was the champion already.
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


def dry_run(model: Trained, name: str, *, judge: Judge) -> Outcome:
    """What `promote` would decide now; registers, writes and moves nothing.

    Raises:
        IntegrityError: its files, or the champion's, are not those that were logged.
    """
    _check(model)
    registry = Registry(name)
    champion = registry.champion()
    if champion and find(registry.uri(champion)).run_id == model.run_id:
        return Outcome(model.run_id, champion, champion, None)
    decision = judge(model, f"run {model.run_id[:8]}", _uri(registry, champion), champion)
    return Outcome(model.run_id, None, champion, decision)


def promote(model: Trained, name: str, *, judge: Judge, reason: str = "") -> Outcome:
    """Register a run's model, make it challenger, judge it, and make it champion if accepted.

    The decision is written to the version either way. Killed at any moment, it leaves the
    alias on the old or the new version; another call completes it.

    Raises:
        BusyError: another promotion or rollback does not end.
        IntegrityError: its files, or the champion's, are not those that were logged.
    """
    with exclusive(name) as check_still_held:
        _check(model)
        registry = Registry(name)
        version = registry.register(model)
        registry.settle()
        champion = registry.champion()
        if champion == version:
            registry.drop_challenger(version)
            return Outcome(model.run_id, version, champion, None)
        registry.set_challenger(version)
        decision = judge(model, f"version {version}", _uri(registry, champion), champion)
        _record(registry, version, model, decision, reason)
        if not decision.accepted:
            return Outcome(model.run_id, version, champion, decision)
        check_still_held()
        move = _move(registry, "promote", version, reason, decision.figures, decision.approval)
        return Outcome(model.run_id, version, champion, decision, move)


def rollback(name: str, *, to: str | None = None, reason: str = "") -> Move:
    """Make the previous champion, or version `to`, champion again; returns the move.

    Raises:
        UsageError: there is no previous champion, no such version, or it is champion already.
        IntegrityError: that version's artifacts are gone, or not those that were logged.
    """
    with exclusive(name) as check_still_held:
        registry = Registry(name)
        registry.settle()
        target = to or _previous(registry)
        sha256 = origin(find(registry.uri(target))).model_sha256
        if target == registry.champion():
            raise UsageError(f"models:/{name}/{target}: is the champion already")
        with fetched(registry.uri(target), sha256):
            check_still_held()
            return _move(registry, "rollback", target, reason, {})


def _check(model: Trained) -> None:
    """Raises IntegrityError where its files are not those that were logged."""
    with fetched(model.uri, recorded_sha256(model)):
        pass


def _previous(registry: Registry) -> str:
    line = journal.line_of_succession(registry.moves())
    if len(line) < 2:
        champion = registry.champion()
        now = f"version {champion} is the first" if champion else "there is none at all"
        raise UsageError(
            f"models:/{registry.name}: no previous champion, {now}; --to VERSION names another"
        )
    return line[-2]


def _move(
    registry: Registry,
    action: Literal["promote", "rollback"],
    version: str,
    reason: str,
    figures: dict[str, float],
    approval: str = "",
) -> Move:
    move = Move(
        number=len(registry.moves()) + 1,
        action=action,
        before=registry.champion(),
        after=version,
        at=journal.now(),
        by=user(),
        reason=reason,
        figures=figures,
        approval=approval,
    )
    registry.move(move)
    registry.drop_challenger(version)
    return move


def _record(
    registry: Registry, version: str, model: Trained, decision: Decision, reason: str
) -> None:
    """Write the decision to the version: a JSON artifact of its run, and tags."""
    at = journal.now()
    record = {
        "model": registry.name,
        "version": version,
        "at": at,
        "by": user(),
        "reason": reason,
        "accepted": decision.accepted,
        **asdict(decision),
    }
    path = f"gate/{registry.name}-{version}-{at.replace(':', '')}.json"
    text = json.dumps(record, indent=2, allow_nan=False)
    MlflowClient().log_text(model.run_id, text, path)
    registry.tag(
        version,
        {
            "gate": "accepted" if decision.accepted else "refused",
            "gate_at": at,
            "gate_by": record["by"],
            "gate_approval": decision.approval,
            "gate_reason": reason,
            "gate_champion": decision.champion or "",
            "gate_failed": ", ".join(decision.failed),
            "gate_rows": decision.rows_md5,
            "gate_figures": json.dumps(decision.figures, allow_nan=False),
            "gate_record": f"runs:/{model.run_id}/{path}",
            "gate_sha256": text_sha256(text),
        },
    )


def user() -> str:
    """Who asks, by the name of the system's account."""
    try:
        return getuser()
    except (KeyError, OSError):  # an account without a name, as in some containers
        return "unknown"


def _uri(registry: Registry, version: str | None) -> str | None:
    return registry.uri(version) if version else None
