"""The command line of the service: its options, and its start and end."""

import os
import signal
import sys
from argparse import ArgumentParser, Namespace
from contextlib import nullcontext
from pathlib import Path
from types import FrameType
from typing import NoReturn
from zlib import crc32

from imageproof.base.errors import UsageError
from imageproof.base.text import printable
from imageproof.serve import _protocol
from imageproof.serve._app import Service
from imageproof.serve._model import LOG, SHADOW, load
from imageproof.system import _process
from imageproof.system.guard import address, listen, names_variable


def serve(options: Namespace) -> None:
    model = load(Path())
    journal = shadow = None
    if options.log:
        from imageproof.serve._journal import Journal  # with pyarrow, which only a log needs
        from imageproof.serve._shadow import Shadow

        os.umask(0o077)  # the images may be private
        options.log.mkdir(parents=True, exist_ok=True)
        # of several that write into the folder; the same number when it starts again
        server = crc32(f"{os.uname().nodename}:{options.port}".encode())
        journal = Journal(options.log, model.description, server)
        if Path(SHADOW).exists():
            shadow = Shadow(options.log, model.description.shape, server)
    elif Path(SHADOW).exists():
        print("warning: without --log the challenger is not asked", file=sys.stderr)
    with listen(options.port, options.host) as listening, journal or nullcontext():
        _process.on_signals(_end)
        title = printable(model.description.title)
        print(f"{title} at {address(listening)}   Ctrl-C ends it", flush=True)
        service = Service(model, journal, shadow)
        _protocol.serve(service.app(), listening, service.draining)


def _end(signum: int, _frame: FrameType | None) -> NoReturn:
    """End the process, for which uvicorn has drained before; SIGTERM is no failure."""
    # another signal would interrupt the wait for the journal, which then loses its last rows
    _process.on_signals(signal.SIG_IGN)
    sys.exit(0 if signum == signal.SIGTERM else 128 + signum)


def options() -> Namespace:
    parser = ArgumentParser("python -m imageproof.serve", description="Serve this package.")
    add = parser.add_argument
    reached = f"{names_variable()} lists the names by which others reach it"
    add("--host", default="127.0.0.1", help=f"address to listen on; {reached}")
    add("--port", type=int, default=8000, metavar="PORT", help="0 takes any free port")
    add("--log", type=Path, metavar="FOLDER", help="log images and answers there, as Parquet")
    arguments = parser.parse_args()
    if arguments.log is not None:
        package = Path().resolve()
        log = arguments.log.resolve()
        if log.is_relative_to(package) and log != package / LOG:
            allowed = f"in a package it is called {LOG}; or it is elsewhere"
            raise UsageError(f"--log {arguments.log}: {allowed}")
    return arguments


def main() -> None:
    _process.run_program(lambda: serve(options()))
