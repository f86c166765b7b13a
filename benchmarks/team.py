"""The servers of a team: how long they take to start, and their memory."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil

from benchmarks.workspace import Workspace
from flows.team.control import Team
from flows.team.settings import FOLDER, Settings

FIRST_PORT = 15500  # beside those of a `make team` that may run here


@contextmanager
def servers(workspace: Workspace, *names: str) -> Iterator[Team]:
    """These servers of a team, and what they need, with empty stores for the time of the block."""
    parent = workspace.root.parent
    parent.chmod(0o711)  # PostgreSQL has a user of its own
    team = Team(Settings(workspace.root, parent / FOLDER, FIRST_PORT))
    try:
        team.start(*names)
        yield team
    finally:
        team.down()


def measure_team(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """Seconds of `make team` on empty stores and again, of `make team-down`, and 10⁶ bytes."""
    workspace.root.parent.chmod(0o711)  # PostgreSQL has a user of its own
    team = Team(Settings(workspace.root, workspace.root / FOLDER, FIRST_PORT))
    figures: dict[str, Any] = {}
    try:
        figures["first_s"] = _make(workspace, "start")
        time.sleep(10)  # what starting used is given back
        figures["memory_mb"] = sum(map(_memory_mb, team.processes()))
        figures["processes"] = len(team.processes())
        figures["down_s"] = _make(workspace, "stop")
        figures["again_s"] = _make(workspace, "start")
    finally:
        team.down()
    yield figures


def _make(workspace: Workspace, what: str) -> float:
    command = [sys.executable, "-m", "flows.team", what]
    return workspace.run(*command, TEAM_PORT=str(FIRST_PORT)).wall_s


def _memory_mb(process: psutil.Process) -> float:
    """Of pages that several processes share, each has its part."""
    return float(process.memory_full_info().pss) / 1e6
