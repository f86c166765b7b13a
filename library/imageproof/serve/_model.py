"""The model of a package: its description, its files verified, its answers, asked in batches."""

import asyncio
import time
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imageproof.base import _inference
from imageproof.base._dataset import Fit, Images, Predict, Probabilities, Shape
from imageproof.base._inference import Network
from imageproof.base.errors import IntegrityError
from imageproof.base.files import StrictModel, read_json, sha256
from imageproof.judge.confidence import Sets, answer_sets, members, unsure

MODEL = "model.onnx"  # beside each model lies its description, as JSON
SHADOW = "shadow.onnx"  # the challenger, if there is one
SUMS = "SHA256SUMS"
LOG = "log"
BATCH = _inference.BATCH  # images; a larger batch is not faster per image, and others wait for it
Question = tuple[Images, asyncio.Future[Probabilities]]
QUICK_S = 0.002  # until then a prediction takes no longer than handing it to a thread and back


class Confidence(StrictModel):
    """`coverage` of the answer sets hold the true class; a class needs this probability."""

    coverage: float
    threshold: float


class Description(StrictModel):
    """What a package says of a model.

    `shape` is that of an image, `model_sha256` the hash that was registered.
    """

    name: str
    version: str
    model_sha256: str
    shape: Shape
    class_names: list[str]
    fit: Fit
    confidence: Confidence

    @property
    def title(self) -> str:
        return f"{self.name} {self.version}"


class Answers(NamedTuple):
    """The answers to the images of a request, a row each."""

    description: Description
    probabilities: Probabilities
    sets: Sets
    unsure: NDArray[np.bool]  # (n,)
    predicted: list[str]

    def predictions(self) -> list[dict[str, Any]]:
        """Per image: `predicted` class, `probabilities`, `answers` (the set), and `unsure`."""
        names = self.description.class_names
        columns = (members(self.probabilities, self.sets), self.unsure.tolist())
        return [
            {
                "predicted": name,
                "probabilities": row,
                "answers": [names[k] for k in classes],
                "unsure": is_unsure,
            }
            for name, row, classes, is_unsure in zip(
                self.predicted, self.probabilities, *columns, strict=True
            )
        ]


class Model(NamedTuple):
    description: Description
    network: Network

    def answers(self, probabilities: Probabilities) -> Answers:
        names = self.description.class_names
        sets = answer_sets(probabilities, self.description.confidence.threshold)
        predicted = [names[k] for k in probabilities.argmax(axis=1).tolist()]
        return Answers(self.description, probabilities, sets, unsure(sets), predicted)


class Batcher:
    """Asks a model for many requests at once: those that come while a batch runs are the next."""

    def __init__(self, predict: Predict, *, on_batch: Callable[[int], None]) -> None:
        self._predict = predict
        self._on_batch = on_batch
        self._queue: asyncio.Queue[Question] = asyncio.Queue()
        self._worker: asyncio.Task[None] | None = None
        self._image_s = inf  # seconds per image of the last batch
        self.waiting = 0  # images without an answer

    async def predict(self, images: Images) -> Probabilities:
        """The probabilities float32 (n, classes) of the images uint8 of one request.

        Many images are asked for in parts, between those of other requests.
        """
        self._worker = self._worker or asyncio.create_task(self._work())
        parts = []
        self.waiting += len(images)
        try:
            for start in range(0, len(images), BATCH):
                answer: asyncio.Future[Probabilities] = asyncio.Future()
                self._queue.put_nowait((images[start : start + BATCH], answer))
                parts.append(await answer)
        finally:
            self.waiting -= len(images)
        return np.concatenate(parts)

    async def _work(self) -> None:
        while True:
            batch = [await self._queue.get()]
            while not self._queue.empty() and sum(len(part) for part, _ in batch) < BATCH:
                batch.append(self._queue.get_nowait())
            await self._answer(batch)

    async def _answer(self, batch: list[Question]) -> None:
        try:
            rows = await self._ask([part for part, _ in batch])
        except Exception as error:  # whatever it is, the next batch is asked
            if len(batch) > 1:  # the fault of one is none of the others
                for question in batch:
                    await self._answer([question])
            elif not (answer := batch[0][1]).done():
                answer.set_exception(error)
            return
        for (_, answer), probabilities in zip(batch, rows, strict=True):
            if not answer.done():  # who was cancelled meanwhile waits no more
                answer.set_result(probabilities)

    async def _ask(self, parts: list[Images]) -> list[Probabilities]:
        images = np.concatenate(parts)
        self._on_batch(len(images))
        if len(images) * self._image_s < QUICK_S:
            probabilities = self._timed(images)
        else:
            probabilities = await asyncio.to_thread(self._timed, images)
        return np.split(probabilities, np.cumsum([len(part) for part in parts])[:-1])

    def _timed(self, images: Images) -> Probabilities:
        start = time.perf_counter()
        probabilities = self._predict(images)
        self._image_s = (time.perf_counter() - start) / len(images)
        return probabilities


def load(folder: Path) -> Model:
    """Load the model of a package; IntegrityError if its files are not those in SHA256SUMS."""
    _check_files(folder)
    model = read_model(folder / MODEL)
    model.network.predict(np.zeros((1, *model.description.shape), np.uint8))  # the first is slow
    return model


def read_model(path: Path) -> Model:
    """A network and the description that lies beside it; a DataError if one cannot be read."""
    description = read_json(path.with_suffix(".json"), Description)
    return Model(description, _inference.load(path, threads=1))


def _check_files(folder: Path) -> None:
    """Raise IntegrityError with a finding for each file that was changed, added or lost."""
    # a file that is not listed may be code, which Python would run from the current folder
    path = folder / SUMS
    lines = path.read_text("utf-8", errors="replace").splitlines() if path.is_file() else []
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    if MODEL not in sums:
        allowed = "start the service in the folder of a package"
        raise IntegrityError(f"{path.resolve()}: does not list {MODEL}; {allowed}")
    names = {path.name for path in folder.iterdir()}
    unlisted = names - {SUMS, ".venv", LOG, *(name.partition("/")[0] for name in sums)}
    findings = [f"{folder / name}: is not in {SUMS}; delete it" for name in sorted(unlisted)]
    findings += [
        f"{folder / name}: is not the file that was packaged (by {SUMS}); make the package again"
        for name, digest in sums.items()
        if not (folder / name).is_file() or sha256(folder / name) != digest
    ]
    if findings:
        raise IntegrityError(*findings)
