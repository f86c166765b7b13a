"""Promotions and rollbacks from two clones at once, on the servers of a team."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit
from uuid import uuid4

from benchmarks.team import servers
from benchmarks.workspace import Workspace

if TYPE_CHECKING:
    from mlflow.entities import Run

PROMOTIONS = 50  # in all; each clone has a model of its own
MODELS = ("mlp", "compact")
ROLLBACK_AFTER = 10  # promotions of a clone
AT_ONCE = 3  # of each clone
# The models differ, and neither shall be refused for it: what is measured is who may move.
NO_CHECKS = (
    *("paired_test", "max_accuracy_loss", "max_sensitivity_loss", "max_total_loss"),
    *("max_latency_ms", "clean_commit"),
)
LOG = """
import sys
from digits.tracking import restore
for _ in range(int(sys.argv[2])):
    print(restore.restore(sys.argv[1])[0])
"""


class Ended(NamedTuple):
    """A command that ended: its process, its reason in the history, exit code and warnings."""

    pid: int
    reason: str
    code: int
    warnings: list[str]


def measure_races(workspace: Workspace, promotions: int = PROMOTIONS) -> Iterator[dict[str, Any]]:
    """Whether the history is one chain of what the commands said, though one was stopped."""
    clones = [Clone(workspace), Clone(Workspace(workspace.root.parent / "second"))]
    with servers(workspace, "mlflow") as team:
        for clone, model in zip(clones, MODELS, strict=True):
            clone.prepare(model, promotions // 2, team.env)
        yield _race(clones, Server(team.env), promotions // 2)


class Clone:
    """A clone whose commands promote runs of one model on the team's server."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self.runs: list[str] = []

    def prepare(self, model: str, count: int, servers: dict[str, str]) -> None:
        """Log the recorded training of the model so many times."""
        self._servers = servers
        self._workspace.run("dvc", "pull", "--quiet")
        self._workspace.set_params(**{f"promote__{name}": None for name in NO_CHECKS})
        printed = self._workspace.run(
            sys.executable, "-c", LOG, model, str(count), **servers
        ).printed
        self.runs = re.findall("^[0-9a-f]{32}$", printed, re.M)

    def decide(self, *command: str) -> Ended:
        """Run `digits` with this command and a reason of its own."""
        reason = uuid4().hex
        process = subprocess.Popen(
            ["digits", *command, "--reason", reason],
            cwd=self._workspace.root,
            env=self._workspace.environment() | self._servers,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        said = process.communicate()[1].splitlines()
        return Ended(process.pid, reason, process.returncode, said)

    def history(self) -> list[dict[str, Any]]:
        """Every move of the champion."""
        asked = self._workspace.run("digits", "history", "--json", **self._servers)
        moves: list[dict[str, Any]] = json.loads(asked.printed)
        return moves


class Server:
    """What MLflow's server holds."""

    def __init__(self, servers: dict[str, str]) -> None:
        from mlflow import MlflowClient

        address = urlsplit(servers["MLFLOW_TRACKING_URI"])
        user = f"{servers['MLFLOW_TRACKING_USERNAME']}:{servers['MLFLOW_TRACKING_PASSWORD']}"
        uri = address._replace(netloc=f"{user}@{address.netloc}").geturl()
        self._client = MlflowClient(uri, uri)

    def names(self) -> list[str]:
        """Of all registered models."""
        return [each.name for each in self._client.search_registered_models()]

    def champion(self) -> str:
        """The version that the alias names."""
        return str(self._client.get_model_version_by_alias("digits", "champion").version)

    def trainings(self, model: str) -> "list[Run]":
        """All runs of a model's trainings."""
        experiment = self._client.get_experiment_by_name("digits")
        assert experiment is not None
        named = f"tags.mlflow.runName = '{model}'"
        return [*self._client.search_runs([experiment.experiment_id], named)]

    def epochs(self, run: "Run", curve: str) -> list[int]:
        """Of which epochs a run has a point of the curve."""
        return sorted(p.step for p in self._client.get_metric_history(run.info.run_id, curve))

    def decides(self) -> int:
        """The process that has the turn; 0 if none has it."""
        from digits.tracking.runs import PROCESS_TAG

        ledger = self._client.get_experiment_by_name("digits-decisions")
        if ledger is None or "last" not in ledger.tags:  # nobody has promoted yet
            return 0
        turn = self._client.get_run(ledger.tags["last"])
        process = turn.data.tags.get(PROCESS_TAG)
        return int(process.split(":")[1]) if process and turn.info.status == "RUNNING" else 0

    def await_decision(self) -> int:
        """The process that has the turn, as soon as one has it."""
        while not (pid := self.decides()):
            time.sleep(0.1)
        return pid


def _race(clones: list[Clone], server: Server, each: int) -> dict[str, Any]:
    start = time.perf_counter()
    with ThreadPoolExecutor(len(clones) * AT_ONCE) as pool:
        started = [pool.submit(clone.decide, *what) for clone, what in _commands(clones, each)]
        stopped, stopped_s = _stop_one(server, started)
        ended = [future.result() for future in started]
    wall_s = time.perf_counter() - start
    moves = clones[0].history()
    made = Counter(move["reason"] for move in moves)
    return {
        "commands": len(ended),
        "at_once": len(clones) * AT_ONCE,
        "wall_s": wall_s,
        "codes": dict(Counter(str(one.code) for one in ended)),
        "moves": len(moves),
        "one_chain": is_chain(moves, server),
        "as_said": all(made[one.reason] == (one.code == 0) for one in ended),
        "stopped_s": stopped_s,
        "stopped_code": next(one.code for one in ended if one.pid == stopped),
        "registered": server.names(),
    }


def _commands(clones: list[Clone], each: int) -> Iterator[tuple[Clone, list[str]]]:
    """The clones take turns; a rollback needs a former champion."""
    for number in range(each):
        for clone in clones:
            yield clone, ["promote", "--run", clone.runs[number]]
            if number % ROLLBACK_AFTER == ROLLBACK_AFTER - 1:
                yield clone, ["rollback"]


def _stop_one(server: Server, started: list[Future[Ended]]) -> tuple[int, float]:
    """Stop a process that decides, until others have taken its turn; process and seconds."""
    while not any(future.done() for future in started):
        time.sleep(0.1)
    while True:
        pid = server.await_decision()
        os.kill(pid, signal.SIGSTOP)
        if server.decides() == pid:  # it has not ended its turn meanwhile
            break
        os.kill(pid, signal.SIGCONT)
    start, done = time.perf_counter(), sum(future.done() for future in started)
    # those who wait; the other threads go on, too
    while sum(future.done() for future in started) < done + 2:
        time.sleep(0.5)
    os.kill(pid, signal.SIGCONT)
    return pid, time.perf_counter() - start


def is_chain(moves: list[dict[str, Any]], server: Server) -> bool:
    """Whether each move starts where the one before ended, and the last one is the champion."""
    before = [None, *(move["after"] for move in moves)]
    return (
        all(move["before"] == was for move, was in zip(moves, before, strict=False))
        and all(now["number"] == last["number"] + 1 for last, now in pairwise(moves))
        and before[-1] == server.champion()
    )
