"""HTTP/1.1 for unknown clients: limits to connections, to the head of a request, and to waiting.

uvicorn's own protocol waits for the end of a head for ever, whatever its size.
"""

import asyncio
from typing import Any, cast

from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from digits.serving.answers import refusal

MAX_HEAD = 32_000  # bytes of request line and headers
HEAD_S = 20.0  # from the connection, or the last answer, until the head of a request is complete
PIECE = 4096  # bytes that are parsed at once
MAX_CONNECTIONS = 500  # each is a file that is open, of which most systems allow 1024


class _Gathering:
    """A transport that sends what is written in one turn of the loop in one piece.

    uvicorn writes the head and the body of an answer apart, and to send costs more than to predict.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self._written.append(data)
        if len(self._written) == 1:
            self._loop.call_soon(self._send)

    def close(self) -> None:
        self._send()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _send(self) -> None:
        if self._written and not self._transport.is_closing():
            self._transport.write(b"".join(self._written))
        self._written.clear()


class Protocol(HttpToolsProtocol):
    """One connection."""

    _timer: asyncio.TimerHandle | None = None
    _head: int | None = None  # bytes of a head that is not complete, and less than PIECE before it
    _refusal: bytes = b""  # the last answer

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for a head."""
        super().connection_made(cast(asyncio.Transport, _Gathering(transport, self.loop)))
        self._is_one_too_many = len(self.connections) > MAX_CONNECTIONS
        self._wait(1 if self._is_one_too_many else HEAD_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        if self._is_one_too_many:
            self._refuse(503, "too many connections; send it again in a second")
        for start in range(0, len(data), PIECE):
            if self._refusal:
                return
            piece = data[start : start + PIECE]
            super().data_received(piece)
            if self._head is not None:
                self._head += len(piece)
                if self._head > MAX_HEAD + PIECE:
                    said = f"over {MAX_HEAD:,} bytes of headers; at most that is allowed"
                    self._refuse(431, said)

    def on_message_begin(self) -> None:
        """The first byte of a head."""
        super().on_message_begin()
        self._head = 0

    def on_headers_complete(self) -> None:
        """The head is there; the app limits the body."""
        self._head = None
        self._stop()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request; meanwhile the rest of a refused body is thrown away."""
        is_last = not self.pipeline
        super().on_response_complete()
        self._unset_keepalive_if_required()
        if is_last:  # also for the rest of a head that came with the last request
            self._wait()
            self._send_refusal()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self._refuse(400, "not HTTP/1.1")

    def _wait(self, seconds: float = HEAD_S) -> None:
        self._stop()
        self._timer = self.loop.call_later(seconds, self._give_up)

    def _stop(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        if self.transport.get_write_buffer_size():  # the client does not read its answer
            self.transport.abort()
        elif self._head is None:
            self.transport.close()
        else:
            self._refuse(408, f"no complete headers within {HEAD_S:.0f} s")

    def _refuse(self, status: int, sentence: str) -> None:
        """Answer without the app after the requests before, and close the connection."""
        headers = {"Connection": "close"} | ({"Retry-After": "1"} if status == 503 else {})
        answer: Response = refusal(status, sentence, headers)
        lines = [STATUS_LINE[status], *(b"%s: %s\r\n" % each for each in answer.raw_headers)]
        self._refusal = b"".join([*lines, b"\r\n", bytes(answer.body)])
        is_busy = self.cycle and not self.cycle.response_complete
        if is_busy and self.cycle.more_body:  # what is wrong is the body of the last request
            is_busy = bool(self.pipeline)
            if self.pipeline:
                self.pipeline.popleft()
        if not is_busy:
            self._send_refusal()

    def _send_refusal(self) -> None:
        if self._refusal and not self.transport.is_closing():
            self.transport.write(self._refusal)
            self.transport.close()
