"""What DVC says of the pipeline: its stages, how they depend on each other, and which changed."""

from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import networkx as nx  # type: ignore[import-untyped]
from dvc.exceptions import DvcException
from dvc.lock import LockError
from dvc.repo import Repo

from digits.core.errors import BusyError, DataError, ServiceError, UsageError

# A stage that has this among its params computes with so many threads.
THREADS = "train.threads"
MISSING = "deleted"  # DVC's word for an output that is not there


@dataclass(frozen=True)
class Stage:
    """One stage: its name as `dvc repro` takes it, the names of those it depends on."""

    name: str
    upstream: tuple[str, ...]
    changed: bool
    threaded: bool


def read_pipeline(root: Path, targets: Sequence[str] | None = None) -> list[Stage]:
    """The stages of `targets` and all they depend on (default: the whole pipeline), upstream first.

    `.dvc` files and frozen stages are none of them: they never run; see `check_sources`.

    Raises:
        UsageError: dvc.yaml is wrong, or has no such target.
        BusyError: another DVC command runs in this folder.
        ServiceError: the folder is no DVC project.
    """
    # DVC takes names and targets as seen from the current folder
    with _dvc_errors(root), chdir(root), Repo() as repo:
        graph = repo.index.graph
        wanted = _with_upstream(repo, graph, targets)
        changed = repo.status()
        order = [node for node in reversed(list(nx.topological_sort(graph))) if node in wanted]
        stages = [node for node in order if not _never_runs(node)]
        return [_stage(graph, node, node.addressing in changed) for node in stages]


def check_sources(
    root: Path, targets: Sequence[str] | None = None, *, missing_ok: bool = False
) -> None:
    """Compare what never runs, and `targets` (default: all stages) depend on, with its record.

    DVC, asked to reproduce a `.dvc` file or a frozen stage, would record whatever lies there.

    Raises:
        DataError: an output is not what is recorded, or is missing and `missing_ok` is false.
    """
    with _dvc_errors(root), chdir(root), Repo() as repo:
        fixed = filter(_never_runs, _with_upstream(repo, repo.index.graph, targets))
        findings = [
            _finding(node, path, state)
            for node in fixed
            for output in node.outs
            for path, state in output.workspace_status().items()
            if not (missing_ok and state == MISSING)
        ]
    if findings:
        raise DataError(*sorted(findings))


def _never_runs(node: Any) -> bool:
    return bool(node.is_data_source or node.frozen)


def _finding(node: Any, path: str, state: str) -> str:
    name = node.addressing
    if state == MISSING:
        return f"{path}: not found; `dvc pull {name}` brings what {name} names"
    keep = f"dvc commit {name}" if node.frozen or node.deps else f"dvc add {path}"
    return (
        f"{path}: is not what {name} names; `{keep}` keeps what lies there,"
        f" `dvc pull --force {name}` takes what {name} names"
    )


def _stage(graph: Any, node: Any, changed: bool) -> Stage:
    return Stage(
        name=node.addressing,
        upstream=tuple(sorted(other.addressing for other in graph.successors(node))),
        changed=changed,
        threaded=any(THREADS in (getattr(dep, "params", None) or ()) for dep in node.deps),
    )


def _with_upstream(repo: Any, graph: Any, targets: Sequence[str] | None) -> set[Any]:
    start = _collected(repo, graph, targets) if targets else [node for node in graph if node.cmd]
    return {node for first in start for node in (first, *nx.descendants(graph, first))}


def _collected(repo: Any, graph: Any, targets: Sequence[str]) -> list[Any]:
    found = {target: _collect(repo, target) for target in targets}
    unknown = [target for target, nodes in found.items() if not nodes]
    if unknown:
        known = ", ".join(sorted(node.addressing for node in graph if node.cmd))
        raise UsageError(*(f"targets: {name!r} is no stage; there are {known}" for name in unknown))
    return [node for nodes in found.values() for node in nodes]


def _collect(repo: Any, target: str) -> list[Any]:
    try:
        return [node for node in repo.stage.collect(target) if node.cmd]
    except DvcException:
        return []


@contextmanager
def _dvc_errors(root: Path) -> Iterator[None]:
    try:
        yield
    except LockError:
        raise BusyError(f"{root}: another DVC command runs in this folder; try again") from None
    except DvcException as error:
        reason = " ".join(str(error).split())
        kind = UsageError if (root / ".dvc").is_dir() else ServiceError
        raise kind(f"DVC in {root}: {reason}") from None


def cache_folder(root: Path) -> str:
    """Where DVC keeps what the stages made; it is laid out as a remote is."""
    with _dvc_errors(root), Repo(str(root)) as repo:
        return str(repo.cache.local_cache_dir)


def remote_address(root: Path, name: str) -> str:
    """The address of a DVC remote.

    Raises:
        UsageError: there is no remote of this name.
    """
    with _dvc_errors(root), Repo(str(root)) as repo:
        known = repo.config["remote"]
        if name not in known:
            raise UsageError(f"remote: {name!r} is not one of {', '.join(known) or 'none'}")
        return str(known[name]["url"])


def push(root: Path, target: str, remote: str) -> None:
    """`dvc push` the outputs of a stage to a remote."""
    with _dvc_errors(root), chdir(root), Repo() as repo:
        repo.push(targets=[target], remote=remote)
