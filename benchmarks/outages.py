"""Each server of a team away in the midst of a training on a worker, and of a promotion."""

import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.races import Clone, Server, is_chain
from benchmarks.team import servers
from benchmarks.workspace import Workspace
from flows.team.control import Team

AWAY_S = 30
SERVERS = ("mlflow", "postgres", "s3", "prefect", "dask")
MODEL, EPOCHS = "mlp", 40  # lasts longer than a server is away
HIT_AFTER = f"{MODEL} epoch 5/"
CURVES = ("loss", "accuracy", "val_loss", "val_accuracy")
FLOW = f"""
from flows.train import train
state = train(["train@{MODEL}"], where={{"train": "dask"}}, return_state=True)
raise SystemExit(None if state.is_completed() else state.message)
"""
COMPLAINT = re.compile(r" \| (?:WARNING|ERROR) +\| .*? - (.*)|(warning: .*|Traceback .*)")


def measure_outages(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """Exit codes, what was said, and what was lost or doubled, by server that is killed."""
    figures: dict[str, Any] = {"away_s": AWAY_S, "training": {}, "promotion": {}}
    with servers(workspace, *SERVERS, "dask-worker-1", "dask-worker-2") as team:
        clone, server = Clone(workspace), Server(team.env)
        clone.prepare(MODEL, 2 * len(SERVERS), team.env)
        remote = ("remote", "add", "--quiet", "--local", "--default", "team", "s3://digits")
        workspace.run("dvc", *remote)
        for epochs, name in enumerate(SERVERS, start=EPOCHS):
            workspace.set_params(**{f"train__{MODEL}__fit__epochs": epochs})
            figures["training"][name] = _training(workspace, server, team, name, epochs)
            yield figures
        for name in SERVERS:
            figures["promotion"][name] = _promotion(clone, server, team, name)
            yield figures


def _away(team: Team, name: str) -> None:
    team.kill(name)
    team.stop(name)  # else it is started again at once
    time.sleep(AWAY_S)
    team.start(name)


def _promotion(clone: Clone, server: Server, team: Team, name: str) -> dict[str, Any]:
    """A promotion that is hit while it is decided, and the next one."""
    before = clone.history()
    first, following = clone.runs.pop(), clone.runs.pop()
    with ThreadPoolExecutor(1) as thread:
        deciding = thread.submit(clone.decide, "promote", "--run", first)
        server.await_decision()
        _away(team, name)
        hit = deciding.result()
    after = clone.decide("promote", "--run", following)
    moves = clone.history()
    made = [move["reason"] for move in moves[len(before) :]]
    return {
        "code": hit.code,
        "said": hit.warnings,
        "next_code": after.code,
        "one_chain": is_chain(moves, server),
        "as_said": made == [one.reason for one in (hit, after) if one.code == 0],
    }


def _training(
    workspace: Workspace, server: Server, team: Team, name: str, epochs: int
) -> dict[str, Any]:
    """A flow whose training runs on a Dask worker, and the same flow again."""
    before = {run.info.run_id for run in server.trainings(MODEL)}
    start = time.perf_counter()
    code, said = _flow(workspace, team, lambda: _away(team, name))
    wall_s = time.perf_counter() - start
    trained = [run for run in server.trainings(MODEL) if run.info.run_id not in before]
    whole = [run for run in trained if run.info.status == "FINISHED"]
    again_code, _ = _flow(workspace, team)
    count = len(server.trainings(MODEL)) - len(before)
    return {
        "code": code,
        "wall_s": wall_s,
        "said": said,
        "runs": dict(Counter(run.info.status for run in trained)),
        "points_once": len(whole) == 1
        and all(server.epochs(whole[0], each) == [*range(epochs)] for each in CURVES),
        "again_code": again_code,
        "again_ran": count - len(trained),
    }


def _flow(
    workspace: Workspace, team: Team, hit: Callable[[], None] | None = None
) -> tuple[int, list[str]]:
    """Exit code, complaints and reason of the flow; `hit` is called in mid-training."""
    process = subprocess.Popen(
        [sys.executable, "-c", FLOW],
        cwd=workspace.root,
        env=workspace.environment() | team.env | {"COLUMNS": "1000"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    said, hitting = [], None
    with ThreadPoolExecutor(1) as thread:
        for line in process.stdout:
            if hit and HIT_AFTER in line:
                hitting, hit = thread.submit(hit), None
            if complaint := COMPLAINT.search(line):
                said.append(complaint[complaint.lastindex or 0])
    if hitting:
        hitting.result()
    if code := process.wait():
        said.append(line.strip())
    return code, said
