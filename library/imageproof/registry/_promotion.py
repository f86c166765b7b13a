"""Promotion and rollback: the only two operations that move the champion's alias."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from imageproof.artifacts import WORKSPACE, Artifacts
from imageproof.base._naming import project_name
from imageproof.base.errors import (
    BusyError,
    DataError,
    GateRefusedError,
    ImageproofError,
    UsageError,
)
from imageproof.base.files import scratch
from imageproof.base.text import one_line
from imageproof.dvc import provenance
from imageproof.dvc._revision import open_revision
from imageproof.judge.gate import Check, Decision
from imageproof.mlflow import _store, restore
from imageproof.mlflow._store import SQLITE
from imageproof.project import Project
from imageproof.registry import _card
from imageproof.registry._evidence import JUDGED_BY, Gate
from imageproof.registry._history import Move, champion_of, next_move, previous_champion
from imageproof.registry._model_files import ModelFiles, fetched
from imageproof.registry._seen_rows import DataRows, write_rows
from imageproof.registry._version import Version, find_origin
from imageproof.registry._versions import (
    CHALLENGER,
    Registry,
    TrainedRun,
    account,
    find,
    trained_run,
)
from imageproof.system import _process

# of the challenger: run, files, name; of the champion: version, None if there is none
Judge = Callable[[TrainedRun, ModelFiles, str, str | None], Decision]

WAIT_S = 600.0  # for another promotion or rollback


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result; `version` is None after a dry run, `decision` if it was champion before."""

    run_id: str
    version: str | None
    champion: str | None
    decision: Decision | None = None
    move: Move | None = None

    def as_dict(self) -> dict[str, Any]:
        verdict = self.decision.verdict if self.decision else "accepted"
        return asdict(self) | {
            "accepted": verdict == "accepted",
            "verdict": verdict,
            "moved": bool(self.move),
        }


class Candidate(NamedTuple):
    """What to promote: a model's last training, that of a DVC experiment, or a run."""

    model: str = ""
    experiment: str = ""
    run_id: str = ""


def promote_training(
    candidate: Candidate,
    *,
    project: Project,
    reason: str = "",
    dry_run: bool = False,
    approval: Check | None = None,
) -> Outcome:
    """Judge a training, and promote it if the gate accepts it.

    IntegrityError if outputs are not what dvc.lock records; BusyError if stages may write them.
    """
    with scratch() as folder:
        root = folder if candidate.experiment else Path()
        with provenance.settled(root):
            run = trained_run(candidate.run_id or _run_id(candidate, project, root))
            gate = Gate(project, root, approval)
            if dry_run:
                return preview(run, project.name, judge=gate)
            rows = gate.data_rows(run)
            return promote(run, project.name, judge=gate, rows=rows, reason=reason)


def _run_id(candidate: Candidate, project: Project, root: Path) -> str:
    """The run of the training in `root`, which is logged if the store lacks it.

    Of an experiment, the model's outputs and all that it is judged by are fetched first.
    """
    model = candidate.model
    with ExitStack() as stack:
        if candidate.experiment:
            revision = stack.enter_context(open_revision(candidate.experiment, root))
            revision.fetch(provenance.OUTPUTS, provenance.DATA_POINTER)
            outputs = provenance.recorded_outputs(root)
            folder = WORKSPACE.trained(model).folder
            paths = [path for path in outputs if path.parent == folder]
            revision.fetch(*JUDGED_BY, WORKSPACE.split("validation"), *paths)
            stack.enter_context(revision.reading())
        trained = Artifacts(root).trained(model)
        if not trained.run.exists():
            models = ", ".join(project.models)
            mend = f"`dvc pull` fetches what was trained, `{project_name()} run` trains {models}"
            raise DataError(f"{trained.run}: not found; {mend}")
        run = restore.find_run(trained, project) or restore.restore(model, project, root)
    return str(run.info.run_id)


def preview(run: TrainedRun, name: str, *, judge: Judge) -> Outcome:
    """Return what `promote` would decide; register, write and move nothing."""
    with fetched(run.uri, run.sha256) as files:
        champion = Registry(name).champion()
        if champion and find(f"models:/{name}/{champion}").run_id == run.run_id:
            return Outcome(run.run_id, champion, champion)
        decision = judge(run, files, f"run {run.run_id[:8]}", champion)
        return Outcome(run.run_id, None, champion, decision)


def promote(
    run: TrainedRun, name: str, *, judge: Judge, rows: DataRows | None = None, reason: str = ""
) -> Outcome:
    """Register a run's model as challenger, judge it, and make it champion if accepted.

    The version carries the `rows` that it has seen; without them they are unknown to the gate.
    Judged again if another champion was made meanwhile; BusyError if another promotion hangs.
    """
    with _exclusive(name), fetched(run.uri, run.sha256) as files:
        registry = Registry(name)
        version = registry.register(run)
        if rows:
            write_rows(registry, version, run.run_id, rows)
        outcome = _decide(registry, run, version, files, judge, reason)
        _describe(registry, version, files)
    return outcome


def rollback(name: str, *, to: str | None = None, reason: str = "", force: bool = False) -> Move:
    """Make the previous champion, or version `to`, champion again; return the move.

    GateRefusedError if no gate has accepted it, unless `force` and a reason are given.
    """
    if force and not reason.strip():
        raise UsageError("--force: needs a reason, too: --reason TEXT")
    with _exclusive(name):
        registry = Registry(name)
        moves = registry.moves()
        version = to or previous_champion(moves, registry.versions())
        if not version:
            raise UsageError(f"models:/{name}: no previous champion; --to VERSION names another")
        origin = find_origin(registry.uri(version))
        if version == champion_of(moves):
            raise UsageError(f"{origin.uri}: is the champion already")
        promoted = {move.after for move in moves if move.action == "promote"}
        if version not in promoted and origin.verdict != "accepted":
            if not force:
                raise GateRefusedError(
                    f"{origin.uri}: {origin.verdict}; "
                    "`--force --reason TEXT` makes it champion all the same"
                )
            reason = f"forced: {reason} ({origin.verdict})"  # the page shows its beginning
        with fetched(origin.uri, origin.model_sha256) as files:
            move = next_move(moves, "rollback", version, by=account(), reason=reason)
            if not registry.move(move):
                raise BusyError(f"models:/{name}: another champion was made; run it again")
            _describe(registry, version, files)
    return move


@contextmanager
def _exclusive(name: str) -> Iterator[None]:
    """Beside an SQLite store, hold a file lock; the kernel releases that of a killed process."""
    uri = _store.tracking_uri()
    if not uri.startswith(SQLITE):  # `Registry.move` reads the champion again
        yield
        return
    path = f"{uri.removeprefix(SQLITE)}.{name}.lock"
    try:
        with FileLock(path, timeout=WAIT_S):
            yield
    except Timeout:
        finding = f"{path}: another promotion or rollback holds it for over {WAIT_S:g} s"
        raise BusyError(finding) from None


def _decide(
    registry: Registry, run: TrainedRun, version: str, files: ModelFiles, judge: Judge, reason: str
) -> Outcome:
    while True:
        moves = registry.moves()
        champion = champion_of(moves)
        if champion == version:
            return Outcome(run.run_id, version, champion)
        registry.set_alias(CHALLENGER, version)
        decision = judge(run, files, version, champion)
        move = next_move(
            moves,
            "promote",
            version,
            by=account(),
            reason=reason,
            figures=decision.figures,
            approval=decision.approval,
        )
        registry.record(run, decision, move)
        if not decision.accepted:
            return Outcome(run.run_id, version, champion, decision)
        if registry.move(move):  # else another champion was made in the meantime
            return Outcome(run.run_id, version, champion, decision, move)


def _describe(registry: Registry, version: str, files: ModelFiles) -> None:
    """Write the history and the version's card; if that fails, warn: the decision stands."""
    uri = registry.uri(version)
    try:
        _card.write_history(registry)
        _card.write(Version(find_origin(uri), files))
    except Exception as error:
        reason = ImageproofError(f"{_process.place(error)}{one_line(error)}")
        print(f"warning: {uri}: no model card: {reason}", file=sys.stderr)
