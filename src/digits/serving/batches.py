"""Predictions of all requests that wait, in batches: throughput grows with the load."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from math import inf
from typing import NamedTuple

import numpy as np

from digits.core.dataset import Images, Predict, Probabilities
from digits.training import inference

MOST = inference.BATCH  # images; a larger batch is not faster per image, and others wait for it
QUICK_S = 0.002  # until then a prediction takes no longer than handing it to a thread and back


class _Part(NamedTuple):
    images: Images
    answer: asyncio.Future[Probabilities]


class Batcher:
    """Asks a model from `threads` threads, each for many requests at once.

    Images that come while a thread is free are predicted at once. Those that come meanwhile make
    the next batch: they wait for one that runs, and never for others to come. A batch that takes
    less than QUICK_S is predicted in the event loop itself.
    """

    def __init__(self, predict: Predict, *, threads: int, on_batch: Callable[[int], None]) -> None:
        self._predict, self._on_batch = predict, on_batch
        self._waiting: deque[_Part] = deque()
        self._threads = ThreadPoolExecutor(threads, "predict")
        self._free = threads
        self._image_s = inf  # seconds per image of the last batch

    async def predict(self, images: Images) -> Probabilities:
        """The model's answers; many images are asked for in parts, between those of others."""
        starts = range(0, len(images), MOST)
        parts = [await self._ask(images[start : start + MOST]) for start in starts]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    async def _ask(self, images: Images) -> Probabilities:
        loop = asyncio.get_running_loop()
        part = _Part(images, loop.create_future())
        self._waiting.append(part)
        if self._free:
            loop.call_soon(self._start)  # together with what else this turn of the loop reads
        return await part.answer

    def _start(self) -> None:
        """Predict what waits, as long as a thread is free."""
        while self._free and self._waiting:
            batch = self._next()
            images = np.concatenate([part.images for part in batch])
            self._on_batch(len(images))
            predict = partial(self._timed, images)
            if len(images) * self._image_s < QUICK_S:
                _finish(batch, predict)
            else:
                self._free -= 1
                running = asyncio.get_running_loop().run_in_executor(self._threads, predict)
                running.add_done_callback(partial(self._end, batch))

    def _next(self) -> list[_Part]:
        batch = [self._waiting.popleft()]
        size = len(batch[0].images)
        while self._waiting and size + len(self._waiting[0].images) <= MOST:
            batch.append(self._waiting.popleft())
            size += len(batch[-1].images)
        return batch

    def _timed(self, images: Images) -> Probabilities:
        start = time.perf_counter()
        probabilities = self._predict(images)
        self._image_s = (time.perf_counter() - start) / len(images)
        return probabilities

    def _end(self, batch: list[_Part], done: asyncio.Future[Probabilities]) -> None:
        _finish(batch, done.result)  # first: the next batch may hold up the event loop
        self._free += 1
        self._start()


def _finish(batch: list[_Part], result: Callable[[], Probabilities]) -> None:
    """Give each part its rows of the result, or its error."""
    error, start = None, 0
    try:
        probabilities = result()
    except Exception as raised:
        error = raised
    for images, answer in batch:
        rows = slice(start, start := start + len(images))
        if answer.cancelled():  # the server has given up waiting for the request
            continue
        if error:
            answer.set_exception(error)
        else:
            answer.set_result(probabilities[rows])
