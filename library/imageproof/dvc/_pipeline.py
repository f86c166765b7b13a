"""Read the pipeline from DVC: its stages, their order, which changed, and whether its data fits."""

from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager
from itertools import chain, filterfalse
from pathlib import Path
from typing import Any, NamedTuple

import networkx as nx  # type: ignore[import-untyped]
from dvc.exceptions import DvcException
from dvc.lock import LockError
from dvc.repo import Repo, lock_repo
from dvc.rwlock import RWLockFileCorruptedError

from imageproof.base.errors import BusyError, DataError, ServiceError, UsageError
from imageproof.base.text import one_line

RUNS_ALWAYS = ["always changed"]  # what `dvc status` says of a stage with no other change


class Stage(NamedTuple):
    """One stage, by the name that `dvc repro` takes."""

    name: str
    upstream: tuple[str, ...]  # the stages and `.dvc` files that it depends on directly
    changed: bool  # `dvc status` lists it
    threaded: bool  # computes with `train.threads` threads
    timed: bool = False  # its seconds are compared (`meta:` in dvc.yaml), so it shares no core
    runs_always: bool = False  # changed for no other reason, also after it ran


def read_pipeline(root: Path, targets: Sequence[str] = ()) -> list[Stage]:
    """The stages of `targets` and all they depend on (default: the whole pipeline), upstream first.

    Leaves out `.dvc` files and frozen stages, which never run, but raises as `check_sources`.
    UsageError if dvc.yaml is wrong or has no such target, BusyError if another DVC command runs in
    this folder, ServiceError if it is no DVC project.
    """
    # without the lock DVC reads dvc.yaml and dvc.lock anew at each step
    with _opened(root) as repo, lock_repo(repo):
        _check_sources(repo, targets)
        graph = repo.index.graph
        nodes = _with_upstream(repo, targets)
        status = repo.status()
        position = {node: number for number, node in enumerate(repo.index.stages)}
        return [
            _stage(node, list(graph.successors(node)), status.get(node.addressing))
            for node in nx.lexicographical_topological_sort(graph.reverse(), key=position.get)
            if node in nodes and not _never_runs(node)
        ]


def _stage(node: Any, upstream: Sequence[Any], status: Any) -> Stage:
    return Stage(
        name=node.addressing,
        upstream=tuple(sorted(source.addressing for source in upstream)),
        changed=bool(status),
        threaded=any("train.threads" in getattr(dep, "params", ()) for dep in node.deps),
        timed=bool((node.meta or {}).get("timed")),
        runs_always=status == RUNS_ALWAYS,
    )


def check_sources(root: Path) -> None:
    """Raise a DataError if the pipeline depends on an output of a `.dvc` file or frozen stage that
    is missing or has another hash: `dvc repro` would accept whatever lies there and record its
    hash. Also if something that it depends on is missing, and nothing makes it.
    """
    with _opened(root) as repo:
        _check_sources(repo, ())


def data_sources(root: Path, stage: str) -> list[str]:
    """The `.dvc` files that a stage depends on, also by way of other stages; as `read_pipeline`."""
    with _opened(root) as repo:
        nodes = _with_upstream(repo, [stage])
        return sorted(node.addressing for node in nodes if node.is_data_source)


def _check_sources(repo: Any, targets: Sequence[str]) -> None:
    nodes = _with_upstream(repo, targets)
    findings = {
        _difference(path, status, node.addressing)
        for node in filter(_never_runs, nodes)
        for out in node.outs
        for path, status in out.workspace_status().items()
    }
    outputs = [Path(out.fs_path) for node in repo.index.graph for out in node.outs]
    findings |= {
        f"{dep}: not found, and nothing makes it; put data there, and type `dvc add {dep}`"
        for node in filterfalse(_never_runs, nodes)
        for dep in node.deps
        if not dep.exists and not _is_made(Path(dep.fs_path), outputs)
    }
    if findings:
        raise DataError(*sorted(findings))


def _is_made(path: Path, outputs: Sequence[Path]) -> bool:
    return any(path.is_relative_to(out) or out.is_relative_to(path) for out in outputs)


def _difference(path: str, status: str, name: str) -> str:
    if status == "deleted":
        return f"{path}: not found; `dvc pull {name}` fetches it"
    cure = f"`dvc commit {name}` keeps it, `dvc pull --force {name}` takes what {name} names"
    return f"{path}: is not what {name} names; {cure}"


def _never_runs(node: Any) -> bool:
    return bool(node.is_data_source or node.frozen)


def _with_upstream(repo: Any, targets: Sequence[str]) -> set[Any]:
    """The stages that the targets name, and the nodes of the graph that they depend on."""
    graph = repo.index.graph
    # `train` and `mlp` both name `train@mlp`
    names = {node: {node.addressing, *node.addressing.split("@")} for node in graph if node.cmd}
    if unknown := [target for target in targets if target not in {*chain(*names.values())}]:
        stages = ", ".join(sorted(node.addressing for node in names))
        raise UsageError(f"targets: {unknown[0]!r} is no stage; there are {stages}")
    nodes = {node for node in names if not targets or names[node] & {*targets}}
    return nodes.union(*(nx.descendants(graph, node) for node in nodes))


@contextmanager
def _opened(root: Path) -> Iterator[Any]:
    try:
        with chdir(root), Repo() as repo:  # DVC takes names as seen from the current folder
            yield repo
    except LockError:
        raise BusyError(f"{root}: another DVC command runs in this folder; try again") from None
    except RWLockFileCorruptedError:
        cause = "a killed DVC command left it half written"
        raise BusyError(f"{root}/.dvc/tmp/rwlock: {cause}; delete it, and try again") from None
    except DvcException as error:
        kind = UsageError if (root / ".dvc").is_dir() else ServiceError
        raise kind(f"DVC in {root}: {one_line(error, width=500)}") from None
