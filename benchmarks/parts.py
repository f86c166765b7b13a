"""A table in many files, scored in one process and on a Dask cluster of this machine."""

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np

from benchmarks.commands import run_command
from benchmarks.workspace import Workspace, free_port
from digits.core import system

MODEL = "mlp"  # the fastest: reading and writing count most
ROWS, OF_A_FILE = 10_000_000, 100_000
WORKERS = 2


def measure_parts(workspace: Workspace, rows: int = ROWS) -> Iterator[dict[str, Any]]:
    """Seconds, rows per second and peak memory of `digits score` in parts.

    The files are one file's hard links, so that ten million rows need little disk.
    """
    workspace.pull()
    uri = workspace.register(MODEL)
    images, source = workspace.images("test"), workspace.root / "rows"
    source.mkdir()
    each = min(rows, OF_A_FILE)
    first = source / "0000.npz"
    np.savez(first, images=np.resize(images, (each, *images.shape[1:])))
    for number in range(1, rows // each):
        (source / f"{number:04}.npz").hardlink_to(first)
    figures: dict[str, Any] = {"model": MODEL, "rows": rows, "threads": workspace.threads}
    figures["ways"] = {"one process": _score(workspace, uri)}
    yield figures
    with ExitStack() as running:
        address, workers = _cluster(workspace, running)
        scored = _score(workspace, uri, "--scheduler", address)
        scored["workers_mb"] = sum(system.peak_memory(worker) / 1e6 for worker in workers)
        figures["ways"][f"{WORKERS} workers"] = scored
        # the workers have the network, and Python's modules are loaded
        figures["ways"]["again, nothing changed"] = _score(
            workspace, uri, "--scheduler", address, clean=False
        )
    yield figures


def _score(workspace: Workspace, uri: str, *options: str, clean: bool = True) -> dict[str, float]:
    out = workspace.root / "scored"
    if clean:
        rmtree(out, ignore_errors=True)
    command = ("digits", "score", "rows", "--out", f"{out}/", "--model", uri, "--json", *options)
    ran = run_command(workspace, command)
    result = json.loads(ran.printed)
    return {"wall_s": ran.wall_s, "rows_per_s": result["rows"] / ran.wall_s, "peak_mb": ran.peak_mb}


def _cluster(workspace: Workspace, running: ExitStack) -> tuple[str, list[int]]:
    """The address of a scheduler, and its workers, of one thread each, by their process."""
    from distributed import Client

    port, page = free_port(), free_port()
    address, dask = f"tcp://127.0.0.1:{port}", str(Path(sys.executable).with_name("dask"))
    here = ("--host", "127.0.0.1")
    running.enter_context(
        workspace.server(
            *(dask, "scheduler", "--port", str(port), "--dashboard-address", f"127.0.0.1:{page}"),
            *here,
            ready=f"http://127.0.0.1:{page}/health",
        )
    )
    pids = []
    for _ in range(WORKERS):
        page = free_port()
        server = workspace.server(
            *(dask, "worker", address, "--nthreads", "1", "--no-nanny"),
            *("--dashboard-address", f"127.0.0.1:{page}", *here),
            ready=f"http://127.0.0.1:{page}/health",
        )
        pids.append(running.enter_context(server).pid)
    with Client(address, set_as_default=False) as client:  # type: ignore[no-untyped-call]
        client.wait_for_workers(WORKERS, timeout=60)
    return address, pids
