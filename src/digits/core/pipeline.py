"""Read the pipeline from DVC: its stages, their order, which changed; its cache and remotes."""

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import networkx as nx  # type: ignore[import-untyped]
from dvc.exceptions import DvcException
from dvc.lock import LockError
from dvc.repo import Repo

from digits.core.commands import CommandFailedError
from digits.core.errors import BusyError, DataError, ServiceError, UsageError, one_line

# A process of DVC that ends with ours, and may run one stage beside others that do.
DVC = (sys.executable, "-m", "digits.core.commands", "dvc", "--wait-for-lock")
# What DVC says after every stage, whose end Prefect shows anyway.
DVC_HINTS = (
    "Having any troubles? Hit us up",
    "Generating lock file",
    "Updating lock file",
    "To track the changes with git, run:",
    "\tgit add ",
    "To enable auto staging, run:",
    "\tdvc config core.autostage",
    "Use `dvc push` to send your updates",
)
DVC_FAILED = "ERROR: failed to reproduce "
DVC_SAYS = ("Running stage ", "> ", DVC_FAILED)
LAST_LINES = 10

# Held by whoever runs the pipeline in the project's own folder.
PROJECT_LOCK = Path(".dvc/tmp/flow.lock")
MISSING = "deleted"  # DVC's word for an output that is not there


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        name: As `dvc repro` takes it.
        upstream: Names of the stages and `.dvc` files that it depends on directly.
        changed: Whether `dvc status` lists it.
        threaded: Whether it computes with `train.threads` threads.
        timed: Whether its seconds are compared, so that it needs its cores for itself; `meta:` in
            dvc.yaml says so.
        deps: The files and folders that it depends on.
        kept_in_git: The outputs of its upstream stages that git keeps, and not DVC's cache.
    """

    name: str
    upstream: tuple[str, ...]
    changed: bool
    threaded: bool
    timed: bool = False
    deps: tuple[str, ...] = ()
    kept_in_git: tuple[str, ...] = ()


def read_pipeline(root: Path, targets: Sequence[str] = ()) -> list[Stage]:
    """The stages of `targets` and all they depend on (default: the whole pipeline), upstream first.

    Leaves out `.dvc` files and frozen stages, which never run; see `check_sources`.

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
        position = {node: number for number, node in enumerate(repo.index.stages)}
        return [
            Stage(
                name=node.addressing,
                upstream=tuple(sorted(other.addressing for other in graph.successors(node))),
                changed=node.addressing in changed,
                threaded=any("train.threads" in getattr(dep, "params", ()) for dep in node.deps),
                timed=bool((node.meta or {}).get("timed")),
                deps=tuple(dep.def_path for dep in node.deps if not getattr(dep, "params", ())),
                kept_in_git=tuple(
                    out.def_path
                    for other in graph.successors(node)
                    for out in other.outs
                    if not out.use_cache
                ),
            )
            for node in nx.lexicographical_topological_sort(graph.reverse(), key=position.get)
            if node in wanted and not _never_runs(node)
        ]


def stage_names(root: Path) -> list[str]:
    """What `read_pipeline` takes as targets, in the order of dvc.yaml; raises as it does."""
    with _dvc_errors(root), chdir(root), Repo() as repo:
        names = [node.addressing for node in repo.index.stages if node.cmd]
        # `train` names all of `train@mlp`, `train@cnn`, …
        return list(dict.fromkeys(part for name in names for part in (name.split("@")[0], name)))


def check_sources(
    root: Path, targets: Sequence[str] = (), *, missing_ok: bool = False, pulled: bool = False
) -> None:
    """Check the outputs of the `.dvc` files and frozen stages that `targets` depend on.

    `dvc repro` would accept whatever lies there and record its hash.

    Args:
        root: The project.
        targets: Stages; default: all.
        missing_ok: Whether outputs may be missing.
        pulled: Whether `dvc pull` has just brought what the remote has.

    Raises:
        DataError: an output has another hash than its `.dvc` file or dvc.lock says, or is missing.
    """
    with _dvc_errors(root), chdir(root), Repo() as repo:
        sources = filter(_never_runs, _with_upstream(repo, repo.index.graph, targets))
        findings = [
            _finding(node, path, state, pulled)
            for node in sources
            for output in node.outs
            for path, state in output.workspace_status().items()
            if not (missing_ok and state == MISSING)
        ]
    if findings:
        raise DataError(*sorted(findings))


def _never_runs(node: Any) -> bool:
    return bool(node.is_data_source or node.frozen)


def _finding(node: Any, path: str, state: str, pulled: bool) -> str:
    name = node.addressing
    if state == MISSING and pulled:
        return f"{path}: not in DVC's remote; `dvc push {name}` where it is sends it there"
    if state == MISSING:
        return f"{path}: not found; `dvc pull {name}` brings what {name} names"
    keep = f"dvc commit {name}" if node.frozen or node.deps else f"dvc add {path}"
    return (
        f"{path}: is not what {name} names; `{keep}` keeps what lies there,"
        f" `dvc pull --force {name}` takes what {name} names"
    )


def _with_upstream(repo: Any, graph: Any, targets: Sequence[str]) -> set[Any]:
    stages = [node for node in graph if node.cmd]
    if targets:
        by_target = {target: _collect(repo, target) for target in targets}
        if unknown := [target for target, nodes in by_target.items() if not nodes]:
            known = ", ".join(sorted(node.addressing for node in stages))
            raise UsageError(*(f"targets: {t!r} is no stage; there are {known}" for t in unknown))
        stages = [node for nodes in by_target.values() for node in nodes]
    return {node for stage in stages for node in (stage, *nx.descendants(graph, stage))}


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
        kind = UsageError if (root / ".dvc").is_dir() else ServiceError
        raise kind(f"DVC in {root}: {one_line(error, width=500)}") from None


def cache_folder(root: Path) -> str:
    """The folder of the project's DVC cache, which has the layout of a remote."""
    with _dvc_errors(root), Repo(str(root)) as repo:
        return str(repo.cache.local_cache_dir)


def push(root: Path, target: str, remote: str) -> None:
    """`dvc push` the outputs of a stage to a remote."""
    with _dvc_errors(root), chdir(root), Repo() as repo:
        repo.push(targets=[target], remote=remote)


def stage_exit_code(error: CommandFailedError) -> int:
    """The exit code of the stage's command, which DVC tells in words, or else DVC's own."""
    failed = [n for n, line in enumerate(error.lines) if line.startswith(DVC_FAILED)]
    told = "\n".join(error.lines[failed[-1] :]) if failed else ""
    codes = re.findall(r", exited with (-?\d+)$", told, re.MULTILINE)
    return int(codes[-1]) if codes else error.code


def last_lines(lines: Sequence[str]) -> list[str]:
    """The last lines without DVC's own messages; its ERROR lines if there are no others."""
    said = [line for line in lines if line and not line.startswith(DVC_SAYS + DVC_HINTS)]
    return said[-LAST_LINES:] or [line for line in lines if line.startswith("ERROR: ")]
