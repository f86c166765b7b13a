"""How much may wait: what exceeds it is refused at once, so that memory and waiting have an end."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from starlette.exceptions import HTTPException

MAX_BODY = 5_000_000  # bytes of one request; as JSON they fill 30 times the memory
MAX_IMAGES = 1000  # of one request
MAX_HELD = 32_000_000  # bytes of all requests: of their bodies, and then of their pixels
MAX_WAITING = 2000  # images of all requests
MAX_READING = 16  # requests with pictures or long bodies

T = TypeVar("T")


class Bound:
    """A number of things that may be there at the same time; one request alone always fits."""

    def __init__(self, most: int) -> None:
        self._most, self.held = most, 0

    @contextmanager
    def hold(self, count: int) -> Iterator[None]:
        """Hold `count` of them in this block.

        Raises:
            HTTPException: 503 if others hold too many.
        """
        if self.held and self.held + count > self._most:
            raise HTTPException(
                503, "too many requests wait; send it again in a second", {"Retry-After": "1"}
            )
        self.held += count
        try:
            yield
        finally:
            self.held -= count


class Reader:
    """A thread for what takes longer than a prediction; one at a time, for the memory it needs."""

    def __init__(self) -> None:
        self._thread, self._waiting = ThreadPoolExecutor(1, "read"), Bound(MAX_READING)

    async def run(self, work: Callable[[], T]) -> T:
        """Do the work in the thread.

        Raises:
            HTTPException: 503 if too much waits for it.
        """
        with self._waiting.hold(1):
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
