"""The package's server under load for minutes, beside a server that answers a constant."""

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from benchmarks.markdown import table
from benchmarks.servers import Target, package, package_server
from benchmarks.serving import MODEL, asker, figures, load_cells
from benchmarks.workspace import Server, Workspace, free_port

CLIENTS = 32
CAPACITY = 150_000  # requests: the first seconds alone are faster than what a server keeps up
SHARES = (0.8, 0.5)  # of the capacity
ROUNDS = 3  # the loads take turns: a slow minute of the machine affects all alike
ROUND_S = 60
POLL_S = 1
DRAINS = 5
DRAIN_AFTER = 3_000
DRAIN_REQUESTS = 10_000
CONSTANT = """
import asyncio, sys
BODY = b'{"predictions": [{"probabilities": [1.0, 0.0]}]}'
ANSWER = b"HTTP/1.1 200 OK\\r\\ncontent-length: %d\\r\\n\\r\\n%b" % (len(BODY), BODY)
async def serve(reader, writer):
    while head := await reader.readuntil(b"\\r\\n\\r\\n"):
        length = head.lower().partition(b"content-length: ")[2].partition(b"\\r\\n")[0]
        await reader.readexactly(int(length or 0))
        writer.write(ANSWER)
        await writer.drain()
async def main():
    await (await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]))).serve_forever()
asyncio.run(main())
"""


def measure_soak(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """Minutes of load at shares of the package's capacity; then SIGTERM under load."""
    ask = partial(asker(workspace), clients=CLIENTS)
    folder = package(workspace, MODEL)
    loads: dict[str, list[dict[str, Any]]] = defaultdict(list)
    with package_server(workspace, folder) as target, constant_server(workspace) as constant:
        capacity = figures([ask(target, requests=CAPACITY)])["requests_per_s"]
        memory_mb = [target.server.memory_mb()]
        for _ in range(ROUNDS):
            for share in SHARES:
                rate = share * capacity
                load = _under_load(partial(ask, target), target.server, rate, memory_mb)
                loads[f"the package, {share:.0%}"].append(load)
            same = partial(ask, constant, expected=[0])
            rate = SHARES[0] * capacity
            loads["a constant"].append(_under_load(same, constant.server, rate, []))
    yield {
        "clients": CLIENTS,
        "capacity_per_s": capacity,
        "loads": {name: _row(rounds) for name, rounds in loads.items()},
        "memory_mb": {"start": memory_mb[0], "end": memory_mb[-1], "max": max(memory_mb)},
        "drains": [_drain(ask, workspace, folder) for _ in range(DRAINS)],
    }


@contextmanager
def constant_server(workspace: Workspace) -> Iterator[Target]:
    """A server that reads a request and answers the same bytes, for the time of the block."""
    port = free_port()
    ready = f"http://127.0.0.1:{port}/"
    with workspace.server(sys.executable, "-c", CONSTANT, str(port), ready=ready) as server:
        yield Target(server, port, "/")


def _under_load(
    ask: Callable[..., dict[str, Any]], server: Server, rate: float, memory_mb: list[float]
) -> dict[str, Any]:
    """A round's result, with `stolen`: the share of the processors that the host gave to others.

    `request_ms` is the server's processor time for a request. Its memory in 10⁶ bytes is added
    every second.
    """
    before = psutil.cpu_times()
    spent = server.processor_s()
    requests = int(rate * ROUND_S)
    with ThreadPoolExecutor(1) as pool:
        load = pool.submit(ask, requests=requests, rate=rate)
        while wait([load], POLL_S).not_done:
            memory_mb.append(server.memory_mb())
    now = psutil.cpu_times()
    stolen = (now.steal - before.steal) / (sum(now) - sum(before))
    request_ms = 1000 * (server.processor_s() - spent) / requests
    return {**load.result(), "stolen": stolen, "request_ms": request_ms}


def _row(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    slow = [len(result["slow"]) for result in rounds]
    other = {key: [result[key] for result in rounds] for key in ("stolen", "request_ms")}
    return {**figures(rounds), **other, "slow_seconds": slow, "seconds": ROUND_S}


def _drain(
    ask: Callable[..., dict[str, Any]], workspace: Workspace, folder: Path
) -> dict[str, Any]:
    """What becomes of the requests when the server gets SIGTERM."""
    with package_server(workspace, folder) as target:
        load = ask(target, requests=DRAIN_REQUESTS, end=target.server.pid, end_after=DRAIN_AFTER)
    return {k: load[k] for k in ("errors", "answered_after_signal", "closed_after_signal")}


def soak_section(part: dict[str, Any]) -> str:
    head = ["asked", "requests/s", "requests", "errors", "p50 ms", "p95 ms", "p99 ms"]
    head += ["seconds with answers over 100 ms", "processor taken by the host"]
    head += ["processor ms per request"]
    body = [
        [
            name,
            f"{load['requests_per_s']:,.0f}",
            *load_cells(load)[:2],
            *(f"{load[key]:.1f}" for key in ("p50_ms", "p95_ms", "p99_ms")),
            f"{', '.join(map(str, load['slow_seconds']))} of {load['seconds']} each",
            ", ".join(f"{share:.1%}" for share in load["stolen"]),
            ", ".join(f"{ms:.2f}" for ms in load["request_ms"]),
        ]
        for name, load in part["loads"].items()
    ]
    memory = part["memory_mb"]
    drains = part["drains"]
    in_time, later = (
        sum(d[f"{name}_after_signal"] for d in drains) for name in ("answered", "closed")
    )
    lost = sum(sum(drain["errors"].values()) for drain in drains)
    return f"""## The package's server under load

{part["clients"]} clients; a latency counts from the moment at which a request is due, so that
waiting for a free client is part of it. Loads in turns of a minute: at shares of its capacity of
{part["capacity_per_s"]:,.0f} requests/s; and, at the rate of 80 %, a server that answers a
constant. *Processor ms per request* are the server's, in each round. If they rise from round to
round, the machine computes slower: 80 % of its former capacity may be all that it has now.

{table(head, body)}

Its memory: {memory["start"]:,.1f} MB at start, {memory["end"]:,.1f} at the end, at most
{memory["max"]:,.1f}.

SIGTERM while {part["clients"]} clients ask, {len(drains)} times: of the requests sent before it,
{in_time} were still to be answered and were, {lost} were lost; {later} requests sent after it found
the connection closed."""
