"""Servers under load: MLflow's with the Keras and the ONNX flavour, and that of the package."""

import json
import re
import subprocess
import sys
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np

from benchmarks.markdown import table
from benchmarks.servers import (
    NAMES,
    Target,
    log_keras,
    mlflow_server,
    package,
    package_server,
    question,
)
from benchmarks.workspace import REPOSITORY, Workspace

MODEL = "compact"
IMAGES = 1000  # different ones, asked in turns
CLIENTS = 8
REQUESTS = {"keras": 100, "onnx": 4_000, "package": 10_000}  # of each server in each round
ROUNDS = 5
MORE_CLIENTS = (1, 8, 32)
# with and without a challenger
SHARE = 0.5  # of the capacity
CAPACITY = 20_000  # requests
SHADOW_ROUNDS = 20
SHADOW_S = 6  # of each of these rounds
SHADOWS = {"the package": False, "the package with a challenger": True}


def measure_serve(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """Rate, latencies, errors, start and memory of each server, one image a request.

    All of them run at once and are asked in turns. Then the package alone, by number of clients.
    """
    ask = asker(workspace)
    loads: dict[str, list[dict[str, Any]]] = defaultdict(list)
    with ExitStack() as running:
        targets = {
            "keras": running.enter_context(mlflow_server(workspace, log_keras(workspace, MODEL))),
            "onnx": running.enter_context(mlflow_server(workspace, workspace.register(MODEL))),
            "package": running.enter_context(package_server(workspace, package(workspace, MODEL))),
        }
        for target in targets.values():
            ask(target, clients=CLIENTS, requests=2 * CLIENTS)  # the first answers are slow
        for _ in range(ROUNDS):
            for name, target in targets.items():
                loads[name].append(ask(target, clients=CLIENTS, requests=REQUESTS[name]))
        yield {
            "model": MODEL,
            "clients": CLIENTS,
            "servers": {
                name: {
                    **figures(loads[name]),
                    "start_s": target.server.start_s,
                    "memory_mb": target.server.memory_mb(),
                }
                for name, target in targets.items()
            },
            "package": {
                str(clients): figures(
                    [ask(targets["package"], clients=clients, requests=REQUESTS["package"])]
                )
                for clients in MORE_CLIENTS
            },
        }


def measure_shadow(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """Latencies at half the capacity, with and without a challenger of the same cost, in turns.

    Both servers log. The challenger's answers are those that its server counts.
    """
    ask = partial(asker(workspace), clients=CLIENTS)
    loads: dict[str, list[dict[str, Any]]] = defaultdict(list)
    with ExitStack() as running:
        targets = {}
        for name, shadow in SHADOWS.items():
            folder = package(workspace, MODEL, shadow=shadow)
            targets[name] = running.enter_context(package_server(workspace, folder, "--log", "log"))
        for target in targets.values():
            ask(target, requests=2 * CLIENTS)  # the first answers are slow
        plain, shadowed = targets.values()
        rate = SHARE * figures([ask(plain, requests=CAPACITY)])["requests_per_s"]
        for _ in range(SHADOW_ROUNDS):
            for name, target in targets.items():
                loads[name].append(ask(target, requests=round(rate * SHADOW_S), rate=rate))
        address = f"http://127.0.0.1:{shadowed.port}/metrics"
        with urllib.request.urlopen(address, timeout=60) as answer:
            page = answer.read().decode()
        counts = re.findall(r'_shadow_total\{outcome="(\w+)"\} (\S+)', page)
    yield {
        "model": MODEL,
        "clients": CLIENTS,
        "loads": {name: figures(rounds) for name, rounds in loads.items()},
        "p95_ms_of_rounds": {
            name: [figures([load])["p95_ms"] for load in rounds] for name, rounds in loads.items()
        },
        "challenger": {outcome: float(count) for outcome, count in counts},
    }


def shadow_section(part: dict[str, Any]) -> str:
    head = ["server", "requests", "errors", "requests/s", "p50 ms", "p95 ms", "p99 ms"]
    body = [
        [name, *load_cells(row), *(f"{row[key]:.1f}" for key in ("p50_ms", "p95_ms", "p99_ms"))]
        for name, row in part["loads"].items()
    ]
    plain, shadowed = (np.median(rounds) for rounds in part["p95_ms_of_rounds"].values())
    counts = part["challenger"]
    return f"""## A challenger beside the champion

`{part["model"]}` at {SHARE:.0%} of the package's capacity, with and without itself as its own
challenger, in turns, {part["clients"]} clients; both servers log. A latency counts from the moment
at which a request is due.

{table(head, body)}

The median of the rounds' p95 is {plain:.2f} ms without the challenger and {shadowed:.2f} ms with
it, {shadowed / plain:.2f} times as much. It was asked for {counts["asked"]:,.0f} images;
{counts["left_out"]:,.0f} were left out."""


def asker(workspace: Workspace) -> Callable[..., dict[str, Any]]:
    """A function that has a client ask a server for the test images."""
    from imageproof.base import _inference

    workspace.pull()
    images = workspace.images("test")[:IMAGES]
    network = _inference.load(workspace.outputs(MODEL).model, threads=1)
    questions = {
        "bodies": [question(image[np.newaxis]) for image in images],
        "expected": network.predict(images).argmax(axis=1).tolist(),
    }
    return partial(_ask, questions)


def _ask(questions: dict[str, Any], target: Target, **job: Any) -> dict[str, Any]:
    """The result of a job of `benchmarks.client`, which runs as a process of its own."""
    job = {"port": target.port, "path": target.path, **questions, **job}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.client"],
        input=json.dumps(job),
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return {"requests": job["requests"], **result}


def figures(loads: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Requests per second, latencies in ms and errors of one or more loads together."""
    latencies = np.concatenate([load["latencies"] for load in loads])
    requests = sum(load["requests"] for load in loads)
    p50, p95, p99 = np.percentile(latencies, [50, 95, 99]) * 1000
    return {
        "requests": requests,
        "errors": dict(sum((Counter(load["errors"]) for load in loads), Counter())),
        "requests_per_s": requests / sum(load["seconds"] for load in loads),
        "p50_ms": float(p50),
        "p95_ms": float(p95),
        "p99_ms": float(p99),
    }


def serve_section(part: dict[str, Any]) -> str:
    slowest = part["servers"]["keras"]["requests_per_s"]
    head = ["server", "requests", "errors", "requests/s", "of Keras'", "p50 ms", "p95 ms"]
    head += ["start s", "memory MB"]
    body = [
        [
            NAMES[name],
            *load_cells(row),
            f"{row['requests_per_s'] / slowest:.1f}×",
            f"{row['p50_ms']:.1f}",
            f"{row['p95_ms']:.1f}",
            f"{row['start_s']:.1f}",
            f"{row['memory_mb']:,.0f}",
        ]
        for name, row in part["servers"].items()
    ]
    by_clients = [
        [
            clients,
            *load_cells(row),
            *(f"{row[name]:.1f}" for name in ("p50_ms", "p95_ms", "p99_ms")),
        ]
        for clients, row in part["package"].items()
    ]
    more = ["clients", "requests", "errors", "requests/s", "p50 ms", "p95 ms", "p99 ms"]
    return f"""## Serving

`{part["model"]}`, one image a request, {part["clients"]} clients, each with a connection that
stays open. The servers run at once and are asked in turns by `benchmarks/client.py`, a process of
its own, which also checks the class of each answer. *Memory* is that of all the server's processes.

{table(head, body)}

The package's server by number of clients: requests that wait are answered together.

{table(more, by_clients)}"""


def load_cells(row: dict[str, Any]) -> list[str]:
    """Requests, errors and requests per second."""
    errors = sum(row["errors"].values())
    return [f"{row['requests']:,}", str(errors), f"{row['requests_per_s']:,.0f}"]
