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

from digits.errors import BusyError, ServiceError, UsageError

# A stage that has this among its params computes with so many threads.
THREADS = "train.threads"


@dataclass(frozen=True)
class Stage:
    """One stage: its name as `dvc repro` takes it, the names of those it depends on."""

    name: str
    upstream: tuple[str, ...]
    changed: bool
    threaded: bool


def read_pipeline(root: Path, targets: Sequence[str] | None = None) -> list[Stage]:
    """The stages of `targets` and all they depend on (default: the whole pipeline), upstream first.

    Raises:
        UsageError: dvc.yaml is wrong, or has no such target.
        BusyError: another DVC command runs in this folder.
        ServiceError: the folder is no DVC project.
    """
    # DVC takes names and targets as seen from the current folder
    with _dvc_errors(root), chdir(root), Repo() as repo:
        graph = repo.index.graph
        wanted = set(graph) if not targets else _with_upstream(repo, graph, targets)
        changed = repo.status()
        order = [node for node in reversed(list(nx.topological_sort(graph))) if node in wanted]
        return [_stage(graph, node, node.addressing in changed) for node in order]


def _stage(graph: Any, node: Any, changed: bool) -> Stage:
    upstream = () if node.frozen else graph.successors(node)
    return Stage(
        name=node.addressing,
        upstream=tuple(sorted(other.addressing for other in upstream)),
        changed=changed,
        threaded=any(THREADS in (getattr(dep, "params", None) or ()) for dep in node.deps),
    )


def _with_upstream(repo: Any, graph: Any, targets: Sequence[str]) -> set[Any]:
    wanted, unknown = set(), []
    for target in targets:
        found = _collect(repo, target)
        unknown += [] if found else [target]
        for node in found:
            wanted |= {node, *nx.descendants(graph, node)}
    if unknown:
        known = ", ".join(sorted(node.addressing for node in graph))
        raise UsageError(*(f"targets: {name!r} is no stage; there are {known}" for name in unknown))
    return wanted


def _collect(repo: Any, target: str) -> list[Any]:
    try:
        return list(repo.stage.collect(target))
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
