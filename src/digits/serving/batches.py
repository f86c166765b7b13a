"""Predictions of all requests that wait, in batches: throughput grows with the load."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np

from digits.core.dataset import Images, Predict, Probabilities
from digits.training import inference

MOST = inference.BATCH  # images; a larger batch is not faster per image, and others wait for it


class _Part(NamedTuple):
    images: Images
    answer: asyncio.Future[Probabilities]


class Batcher:
    """Asks a model from `threads` threads, each for many requests at once.

    Images that come while a thread is free are predicted at once. Those that come meanwhile make
    the next batch: they wait for one that runs, and never for others to come.
    """

    def __init__(self, predict: Predict, *, threads: int, on_batch: Callable[[int], None]) -> None:
        self._predict, self._on_batch = predict, on_batch
        self._waiting: deque[_Part] = deque()
        self._threads = ThreadPoolExecutor(threads, "predict")
        self._free = threads

    async def predict(self, images: Images) -> Probabilities:
        """The model's answers; many images are asked for in parts, between those of others."""
        starts = range(0, len(images), MOST)
        parts = [await self._ask(images[start : start + MOST]) for start in starts]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    async def _ask(self, images: Images) -> Probabilities:
        part = _Part(images, asyncio.get_running_loop().create_future())
        self._waiting.append(part)
        if self._free:
            self._start()
        return await part.answer

    def _start(self) -> None:
        batch = [self._waiting.popleft()]
        size = len(batch[0].images)
        while self._waiting and size + len(self._waiting[0].images) <= MOST:
            batch.append(self._waiting.popleft())
            size += len(batch[-1].images)
        self._on_batch(size)
        self._free -= 1
        images = np.concatenate([part.images for part in batch])
        running = asyncio.get_running_loop().run_in_executor(self._threads, self._predict, images)
        running.add_done_callback(partial(self._finish, batch))

    def _finish(self, batch: list[_Part], done: asyncio.Future[Probabilities]) -> None:
        self._free += 1
        if self._waiting:
            self._start()
        error, start = done.exception(), 0
        for images, answer in batch:
            rows = slice(start, start := start + len(images))
            if answer.cancelled():  # the server has given up waiting for the request
                continue
            if error:
                answer.set_exception(error)
            else:
                answer.set_result(done.result()[rows])
