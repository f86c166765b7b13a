"""The bodies of requests to a server, within limits."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

MAX_BYTES = 20_000_000  # of a body; phones write pictures of up to 15 MB
MAX_WAITING = 3 * MAX_BYTES  # bytes of all requests that are not answered yet
BODY_S = 25.0  # from the head of a request until its body is there; phones send slowly
CODINGS = {"Content-Encoding": "identity", "Transfer-Encoding": "chunked"}  # nothing unpacks others


class Bodies:
    """Reads the bodies of the requests to one server; a refusal is an HTTPException."""

    def __init__(self, max_waiting: int = MAX_WAITING) -> None:
        self._max_waiting = max_waiting
        self._waiting = 0  # bytes

    @asynccontextmanager
    async def read(self, request: Request, max_bytes: int = MAX_BYTES) -> AsyncIterator[bytes]:
        """The body of a request, which is answered within the block."""
        body = bytearray()
        try:
            await self._receive(request, body, max_bytes)
            yield bytes(body)
        finally:
            self._waiting -= len(body)

    async def _receive(self, request: Request, body: bytearray, max_bytes: int) -> None:
        for name, allowed in CODINGS.items():
            value = ", ".join(request.headers.getlist(name)) or allowed
            if value.lower() != allowed:  # compressed bytes would be read as pixels
                raise HTTPException(415, f"{name}: {value[:80]!r}; {allowed} is allowed")
        try:
            async with asyncio.timeout(BODY_S):
                async for chunk in request.stream():
                    if len(body) + len(chunk) > max_bytes:
                        raise HTTPException(413, f"over {max_bytes:,} bytes long")
                    if self._waiting + len(chunk) > self._max_waiting:
                        raise HTTPException(503, "too many requests wait", {"Retry-After": "1"})
                    self._waiting += len(chunk)
                    body += chunk
        except TimeoutError:
            sentence = f"the body was not complete within {BODY_S:.0f} s"
            raise HTTPException(408, sentence, {"Connection": "close"}) from None
        except ClientDisconnect:
            raise HTTPException(400, "the request was cut off") from None
