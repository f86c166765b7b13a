"""Stages on Dask workers that share no folder, beside the same flow on one machine."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.workspace import Workspace, free_port
from digits.core.artifacts import TrainOutputs
from digits.core.files import md5

MODELS = ("mlp", "cnn", "compact")
WORKERS = 2
FLOW = """
import json, sys, time
from flows.train import train
start = time.perf_counter()
state = train([f"train@{model}" for model in sys.argv[2:]], where=json.loads(sys.argv[1]))
print(time.perf_counter() - start)
"""


def measure_stages(workspace: Workspace, *, percent: int = 100) -> Iterator[dict[str, Any]]:
    """Seconds of three trainings by the flow here, on workers, and again from a third clone."""
    here, there, third = (_clone(workspace, name, percent) for name in ("here", "there", "third"))
    port, dashboard = free_port(), free_port()
    api = f"http://127.0.0.1:{port}/api"
    uvicorn = (sys.executable, "-m", "uvicorn", "--factory", "--port", str(port))
    with (
        workspace.server(*uvicorn, "flows.support.server:app", ready=f"{api}/health"),
        ExitStack() as stack,
    ):
        scheduler = f"tcp://127.0.0.1:{free_port()}"
        dask = (str(Path(sys.executable).with_name("dask")),)
        options = ("--host", "127.0.0.1")
        ready = f"http://127.0.0.1:{dashboard}/health"
        stack.enter_context(
            workspace.server(
                *(*dask, "scheduler", *options, "--port", scheduler.rpartition(":")[2]),
                *("--dashboard-address", f"127.0.0.1:{dashboard}"),
                ready=ready,
            )
        )
        for number in range(WORKERS):
            folder = workspace.root.parent / f"worker-{number}"
            folder.mkdir()
            worker = (*dask, "worker", scheduler, *options, "--nthreads", "1", "--no-dashboard")
            stack.enter_context(workspace.server(*worker, ready=ready, folder=folder))
        where = '{"train": "dask"}'
        own = {"PREFECT_API_URL": api, "DIGITS_DASK_SCHEDULER": scheduler}
        here_s = _flow_s(here, "{}", **own)
        there_s = _flow_s(there, where, **own)
        again_s = _flow_s(third, where, **own)
    yield {
        "percent": percent,
        "models": list(MODELS),
        "here_s": here_s,
        "there_s": there_s,
        "again_s": again_s,
        "same_models": _models(here) == _models(there) == _models(third),
    }


def _clone(workspace: Workspace, name: str, percent: int) -> Workspace:
    made = Workspace(workspace.root.parent / name)
    made.set_params(data__percent=percent)
    remote = str(workspace.root.parent / "remote")
    made.run("dvc", "remote", "add", "--quiet", "--local", "--default", "team", remote)
    return made


def _flow_s(workspace: Workspace, where: str, **environment: str) -> float:
    printed = workspace.run(sys.executable, "-c", FLOW, where, *MODELS, **environment).printed
    return float(printed.splitlines()[-1])


def _models(workspace: Workspace) -> list[str]:
    return [md5(TrainOutputs(model, workspace.root).keras) for model in MODELS]
