"""Predictions of all requests that wait, in batches: throughput grows with the load."""

import asyncio
import time
from collections.abc import Callable
from math import inf

import numpy as np

from digits.core.dataset import Images, Predict, Probabilities
from digits.training import inference

MOST = inference.BATCH  # images; a larger batch is not faster per image, and others wait for it
QUICK_S = 0.002  # until then a prediction takes no longer than handing it to a thread and back


class Batcher:
    """Asks a model for many requests at once.

    Those that come while a batch runs make the next one; it waits for no others. A batch that
    takes less than QUICK_S is predicted in the event loop itself, others in a thread.
    """

    def __init__(self, predict: Predict, *, on_batch: Callable[[int], None]) -> None:
        self._predict, self._on_batch = predict, on_batch
        self._queue: asyncio.Queue[tuple[Images, asyncio.Future[Probabilities]]] = asyncio.Queue()
        self._worker: asyncio.Task[None] | None = None
        self._image_s = inf  # seconds per image of the last batch
        self.waiting = 0  # images without an answer

    async def predict(self, images: Images) -> Probabilities:
        """Many images are asked for in parts, between those of others."""
        self._worker = self._worker or asyncio.create_task(self._work())
        parts = []
        self.waiting += len(images)
        try:
            for start in range(0, len(images), MOST):
                answer: asyncio.Future[Probabilities] = asyncio.Future()
                self._queue.put_nowait((images[start : start + MOST], answer))
                parts.append(await answer)
        finally:
            self.waiting -= len(images)
        return np.concatenate(parts)

    async def _work(self) -> None:
        while True:
            batch = [await self._queue.get()]
            while not self._queue.empty() and sum(len(part) for part, _ in batch) < MOST:
                batch.append(self._queue.get_nowait())
            images = np.concatenate([part for part, _ in batch])
            self._on_batch(len(images))
            try:
                if len(images) * self._image_s < QUICK_S:
                    probabilities = self._timed(images)
                else:
                    probabilities = await asyncio.to_thread(self._timed, images)
            except Exception as error:
                for _, answer in batch:
                    if not answer.done():
                        answer.set_exception(error)
                continue
            start = 0
            for part, answer in batch:
                rows = probabilities[start : (start := start + len(part))]
                if not answer.done():  # who was cancelled meanwhile waits no more
                    answer.set_result(rows)

    def _timed(self, images: Images) -> Probabilities:
        start = time.perf_counter()
        probabilities = self._predict(images)
        self._image_s = (time.perf_counter() - start) / len(images)
        return probabilities
