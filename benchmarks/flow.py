"""The pipeline as a Prefect flow against `dvc repro`, on settings so small that overhead shows."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

from benchmarks.workspace import Workspace, free_port, wait_for

PERCENT = 2
FLOW = """
import sys, time
from flows.train import train
start = time.perf_counter()
train(force=sys.argv[1] == "force")
print(time.perf_counter() - start)
"""


def measure(workspace: Workspace, *, models: list[str], repeats: int) -> dict[str, Any]:
    """Median seconds of both with everything forced, in turn, and of both with nothing to do.

    Of the flow, whole commands with Prefect's import, and the flow run alone.
    """
    epochs = {f"train__{model}__fit__epochs": 1 for model in models}
    workspace.set_params(data__percent=PERCENT, **epochs)
    times: dict[str, list[float]] = {}
    with _prefect_server(workspace) as address:
        for options, what in ((["--force"], "force"), ([], "unchanged")):
            for _ in range(repeats):
                dvc_s = workspace.run("dvc", "repro", "--quiet", *options).wall_s
                command = (sys.executable, "-c", FLOW, what)
                flow = workspace.run(*command, PREFECT_API_URL=address)
                times.setdefault(f"{what}_dvc_s", []).append(dvc_s)
                times.setdefault(f"{what}_flow_s", []).append(flow.wall_s)
                run_s = float(flow.printed.splitlines()[-1])
                times.setdefault(f"{what}_flow_run_s", []).append(run_s)
    return {"percent": PERCENT, **{name: median(values) for name, values in times.items()}}


@contextmanager
def _prefect_server(workspace: Workspace) -> Iterator[str]:
    address = f"http://127.0.0.1:{(port := free_port())}/api"
    uvicorn = (sys.executable, "-m", "uvicorn", "--factory", "--port", str(port))
    server = subprocess.Popen(
        [*uvicorn, "flows.support.serving:app"],
        cwd=workspace.root,
        env=workspace.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(f"{address}/health")
        yield address
    finally:
        server.terminate()
        server.wait(30)
