"""Serve unknown clients by HTTP/1.1, with limits that uvicorn does not set itself."""

import asyncio
import socket
import sys
from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import httptools
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

Draining = Callable[[], AbstractAsyncContextManager[None]]

MAX_CONNECTIONS = 900  # each is an open file, of which most systems allow 1024
MAX_HEAD = 32_000  # bytes of request line and headers, or of trailers; beyond the first piece
DRAIN_S = 30  # after SIGTERM, until requests that are not answered yet are given up
# From the connection, or the last answer, until the head of a request is complete; and until some
# of the answers that wait are read.
HEAD_S = 20


class _Flow(FlowControl):
    """Reads no more while requests are queued: a client that sends thousands fills the memory."""

    def __init__(self, transport: asyncio.Transport, pipeline: deque[Any]) -> None:
        super().__init__(transport)
        self._pipeline = pipeline

    def resume_reading(self) -> None:
        if not self._pipeline:
            super().resume_reading()


class Protocol(HttpToolsProtocol):
    _timer: asyncio.TimerHandle
    _reading: asyncio.TimerHandle
    _running: RequestResponseCycle | None = None
    _data = b""  # that is parsed now
    _again = b""  # what of it is parsed once more
    _ended = False  # the client sends no more
    _head: int | None = None  # bytes since a request began, or the last piece of its body came

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = _Flow(transport, self.pipeline)
        # uvicorn answers 503 to one too many, but keeps it open
        wait_s = HEAD_S if len(self.connections) < MAX_CONNECTIONS else 1
        self._timer = self.loop.call_later(wait_s, transport.abort)

    def pause_writing(self) -> None:
        """Answers wait for the client to read: without a limit it could hold all connections."""
        super().pause_writing()
        self._reading = self.loop.call_later(HEAD_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._reading.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        if self._running:  # uvicorn tells only the last of a pipeline that the client has gone
            self._running.disconnected = True
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def data_received(self, data: bytes) -> None:
        """Parse what came, and limit a head, or trailers, that are not complete."""
        if self._head is not None:
            self._head += len(data)
        while data:
            self._data = data
            self._again = b""
            super().data_received(data)
            data = self._again
        if self._head is not None and self._head > MAX_HEAD:
            self.send_400_response(f"Over {MAX_HEAD:,} bytes of headers.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head = 0

    def _unsupported_upgrade_warning(self) -> None:
        """Begin again without `Upgrade`: else httptools reads no body, and nothing that follows."""
        error: Any = sys.exception()
        if self._is_upgrade():
            lines = [b"%s %s HTTP/1.1" % (self.parser.get_method(), self.url)]
            lines += [b"%s: %s" % line for line in self.headers if line[0] != b"upgrade"]
            self._again = b"\r\n".join([*lines, b"", self._data[error.args[0] :]])
            self.parser = httptools.HttpRequestParser(self)

    def _is_upgrade(self) -> bool:
        return self.parser.should_upgrade() and b"upgrade" in dict(self.headers)

    def on_headers_complete(self) -> None:
        if self._is_upgrade():
            return
        self._head = 0  # the app limits the body
        self._timer.cancel()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._head = 0

    def on_message_complete(self) -> None:
        self._head = None
        if not self._is_upgrade():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request; meanwhile the rest of a refused body is thrown away."""
        is_last = not self.pipeline
        super().on_response_complete()
        if is_last and self._ended:
            self.transport.close()
        elif is_last and not self.transport.is_closing():
            self._timer = self.loop.call_later(HEAD_S, self.transport.abort)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Whether to keep the connection: who sends no more may wait for the answer."""
        self._ended = True
        is_whole = self._head is None
        return is_whole and self.cycle is not None and not self.cycle.response_complete


class _Server(uvicorn.Server):
    draining: Draining

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        async with self.draining():
            await super().shutdown(sockets)


def serve(
    app: ASGIApp,
    listening: socket.socket,
    draining: Draining = nullcontext,
) -> None:
    """Serve until SIGTERM or SIGINT; then answer the requests under way, within `draining`."""
    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="off",
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=DRAIN_S,
        timeout_keep_alive=HEAD_S,
    )
    server = _Server(config)
    server.draining = draining
    # uvicorn alone catches signals only in its loop; an exit before that makes Python warn
    # of a coroutine that was never awaited
    with server.capture_signals():
        server.run(sockets=[listening])
