"""The whole pipeline: against the sum of its fits, unchanged, and as a Prefect flow."""

import sys
from collections import defaultdict
from collections.abc import Iterator
from statistics import median
from typing import Any

from benchmarks.markdown import table
from benchmarks.workspace import Workspace, free_port

REPEATS = 3
PERCENT = 2
FLOW = """
import sys, time
sys.path.insert(0, "flows")  # as of a flow that is called by its path
from train import train
start = time.perf_counter()
train(force=sys.argv[1] == "force")
print(time.perf_counter() - start)
"""


def measure_pipeline(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """Seconds of `dvc repro -f`, of its fits, and of `dvc repro` with nothing to do."""
    models = workspace.models
    wall_s = workspace.run("dvc", "repro", "-f").wall_s
    fits_s = sum(workspace.training_metrics(model)["elapsed_s"] for model in models)
    unchanged = [workspace.run("dvc", "repro", "-q").wall_s for _ in range(REPEATS)]
    yield {
        "models": models,
        "wall_s": wall_s,
        "fits_s": fits_s,
        "beyond_fits_s": wall_s - fits_s,
        "unchanged_s": median(unchanged),
    }


def measure_flow(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """Median seconds of `dvc repro` and of the flow, with everything forced and with nothing to do.

    The settings are so small that overhead shows. Of the flow, both the whole command with
    Prefect's import and the flow run alone.
    """
    epochs = {f"train__{model}__fit__epochs": 1 for model in workspace.models}
    workspace.set_params(data__percent=PERCENT, **epochs)
    times: dict[str, list[float]] = defaultdict(list)
    port = free_port()
    api = f"http://127.0.0.1:{port}/api"
    uvicorn = (sys.executable, "-m", "uvicorn", "--factory", "--port", str(port))
    with workspace.server(*uvicorn, "imageproof.prefect.server:app", ready=f"{api}/health"):
        for options, what in ((["--force"], "force"), ([], "unchanged")):
            for _ in range(REPEATS):
                dvc = workspace.run("dvc", "repro", "--quiet", *options)
                flow = workspace.run(sys.executable, "-c", FLOW, what, PREFECT_API_URL=api)
                times[f"{what}_dvc_s"].append(dvc.wall_s)
                times[f"{what}_flow_s"].append(flow.wall_s)
                times[f"{what}_flow_run_s"].append(float(flow.printed.splitlines()[-1]))
    yield {"percent": PERCENT, **{name: median(values) for name, values in times.items()}}


def pipeline_section(part: dict[str, Any]) -> str:
    head = ["models", "`dvc repro -f` s", "its fits s", "beyond s", "unchanged `dvc repro` s"]
    values = [part[name] for name in ("wall_s", "fits_s", "beyond_fits_s", "unchanged_s")]
    row = [", ".join(part["models"]), *(f"{value:.1f}" for value in values)]
    return f"## The whole pipeline\n\n{table(head, [row])}"


def flow_section(part: dict[str, Any]) -> str:
    head = ["", "`dvc repro` s", "flow s", "flow run alone s", "flow / dvc"]
    body = [
        [
            text,
            *(f"{part[f'{what}_{name}_s']:.1f}" for name in ("dvc", "flow", "flow_run")),
            f"{part[f'{what}_flow_s'] / part[f'{what}_dvc_s']:.2f}",
        ]
        for what, text in (("force", "everything forced"), ("unchanged", "nothing to do"))
    ]
    return f"""## The pipeline as a Prefect flow

{part["percent"]} % of the data, one epoch; medians. *flow* is the whole command, while a server
runs; what it takes beyond the flow run is Prefect's import.

{table(head, body)}"""
