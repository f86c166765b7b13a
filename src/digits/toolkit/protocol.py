"""HTTP/1.1 for unknown clients: limits that uvicorn does not set on heads and pipelines."""

import asyncio
from collections import deque
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD = 32_000  # bytes of request line and headers, or of trailers; beyond the first piece
HEAD_S = 20  # from the connection, or the last answer, until the head of a request is complete


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
    _head = 0  # bytes since the last head, or piece of a body, was complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = _Flow(transport, self.pipeline)
        self._timer = self.loop.call_later(HEAD_S, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._head += len(data)
        super().data_received(data)
        if self._head > MAX_HEAD:
            self.send_400_response(f"Over {MAX_HEAD:,} bytes of headers.")

    def on_headers_complete(self) -> None:
        self._timer.cancel()
        self._head = 0  # the app limits the body
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._head = 0
        super().on_body(body)

    def on_response_complete(self) -> None:
        is_last = not self.pipeline
        super().on_response_complete()
        if is_last:
            self._timer = self.loop.call_later(HEAD_S, self.transport.abort)
