"""Serve the package in the current folder: `python -m digits.serving`."""

import signal
import sys
from argparse import ArgumentParser, Namespace
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from digits.core import process
from digits.core.errors import ServiceError
from digits.core.guard import MORE_NAMES, listen
from digits.serving.app import Service
from digits.serving.model import Description, load
from digits.serving.protocol import HEAD_S, Protocol

if TYPE_CHECKING:
    from digits.serving.journal import Journal

DRAIN_S = 30  # after SIGTERM, until requests that are not answered yet are given up


def serve(options: Namespace) -> None:
    """Serve until SIGTERM or SIGINT; then answer the requests under way.

    Raises:
        IntegrityError: the package's files are not those that were packaged.
        BusyError: another process listens there.
    """
    loaded = load(Path())
    journal = _journal(options.log, loaded.description) if options.log else None
    with listen(options.port, options.host) as listening, journal or nullcontext():
        app = Service(loaded, journal, threads=options.threads).app()
        config = uvicorn.Config(
            app,
            http=Protocol,
            ws="none",
            lifespan="off",
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=DRAIN_S,
            timeout_keep_alive=HEAD_S,
        )
        host, port = listening.getsockname()[:2]
        address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        print(f"{loaded.description.title} at {address}   Ctrl-C ends it", flush=True)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn has drained before
        uvicorn.Server(config).run(sockets=[listening])


def _journal(folder: Path, description: Description) -> "Journal":
    try:
        from digits.serving.journal import Journal
    except ModuleNotFoundError:
        how = "pip install --no-deps --require-hashes -r requirements-log.txt"
        raise ServiceError(f"--log: pyarrow is not installed: {how}") from None
    return Journal(folder, description)


def options() -> Namespace:
    """What the command line says."""
    parser = ArgumentParser("python -m digits.serving", description="Serve this package.")
    add = parser.add_argument
    reached = f"{MORE_NAMES} lists the names by which others reach it"
    add("--host", default="127.0.0.1", help=f"address to listen on; {reached}")
    ports, threads = range(65536), range(1, 257)
    add("--port", type=int, default=8000, choices=ports, metavar="PORT", help="0 is any free one")
    add("--threads", type=int, default=1, choices=threads, metavar="N", help="of the model")
    add("--log", type=Path, metavar="FOLDER", help="log images and answers there, as Parquet")
    return parser.parse_args()


if __name__ == "__main__":
    process.run_program(lambda: serve(options()))
