"""The challenger of a package: a process of its own answers what the champion has answered before.

The server hands images over by a pipe and never waits for it. Whether it hands them over depends on
how many bytes wait, not on what is in the images; so the challenger sees a fair sample. After each
batch the challenger rests, so that it hardly slows the server; under load images are left out.
"""

import asyncio
import os
import select
import signal
import subprocess
import sys
import time
from math import inf
from pathlib import Path

import numpy as np

from imageproof.base import _inference
from imageproof.base._dataset import Images, Probabilities, Shape
from imageproof.base._inference import Network
from imageproof.base.errors import AnswersError
from imageproof.serve._journal import Journal, Times
from imageproof.serve._model import SHADOW, read_model

FOLDER = "shadow"  # of its answers, in the folder of the log
QUEUE_BYTES = 4_000_000  # beyond those in the pipe
PAUSE_S = 0.05  # from an answer until its images are handed over, with those that came since
# Rest after a batch, as a multiple of the batch's processor time: the challenger takes 2 % of one
# core. More would slow the server on the core beside it.
REST = 49
NICENESS = 10  # the server goes first; at idle priority a busy machine left answers unwritten
END_S = 10.0  # after SIGTERM, for what was handed over
ANSWER_S = 3.0  # of these; what waits then gets no answer


def _record(shape: Shape) -> np.dtype[np.void]:
    return np.dtype([("at", "<M8[us]"), ("image", np.uint8, shape)])


class Shadow:
    def __init__(self, log: Path, shape: Shape, server: int) -> None:
        self._record = _record(shape)
        running, self._running = os.pipe()  # closed when the server ends
        words = [sys.executable, "-P", "-m", "imageproof.serve._shadow"]
        words += map(str, (log, running, server))
        # Ctrl-C is for the server; a session of its own would have a share of the processors
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, process_group=0, pass_fds=[running]
        )
        os.close(running)
        self._is_named = False  # that it has ended
        self._waiting = bytearray()
        self._handing_over: asyncio.Task[None] | None = None
        self._pipe: asyncio.WriteTransport | None = None

    def takes(self, images: Images) -> bool:
        """Whether the challenger lives, and has room for these images among those that wait."""
        code = self._process.poll()
        if code is not None:
            if not self._is_named:
                ended = f"the challenger has ended (exit code {code})"
                print(f"warning: {ended}: it is asked no more", file=sys.stderr)
                self._is_named = True
            return False
        waiting = len(self._waiting)
        waiting += self._pipe.get_write_buffer_size() if self._pipe else 0
        return waiting + len(images) * self._record.itemsize <= QUEUE_BYTES

    def ask(self, at: Times, images: Images) -> None:
        """Let it answer images later; those of many requests are handed over together."""
        rows = np.empty(len(images), self._record)
        rows["at"] = at
        rows["image"] = images
        self._waiting += rows.tobytes()
        if not self._handing_over or self._handing_over.done():
            self._handing_over = asyncio.create_task(self._hand_over())

    async def _hand_over(self) -> None:
        await asyncio.sleep(PAUSE_S)  # the answers go out first
        if not self._pipe:
            loop = asyncio.get_running_loop()
            stdin = self._process.stdin
            self._pipe, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, stdin)
        self._pipe.write(bytes(self._waiting))
        self._waiting.clear()

    async def end(self) -> None:
        """Let it answer what was handed over, and end it."""
        if self._handing_over:
            await self._handing_over
        os.close(self._running)
        pipe = self._pipe or self._process.stdin
        if pipe:
            pipe.close()
        try:
            await asyncio.to_thread(self._process.wait, END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            killed = f"the challenger was killed: it did not end in {END_S:g} s"
            print(f"warning: {killed}; its log may lack rows", file=sys.stderr)


def answer_all(log: Path, running: int, server: int) -> None:
    """Answer the images that come by standard input until it ends, into a log of its own.

    `running` is the reading end of a pipe that the server closes when it ends; from then on there
    is no rest, and after ANSWER_S no answer: the log lacks the rows that wait then.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the server closes the pipe
    server_end = select.poll()
    server_end.register(running, 0)
    description, network = read_model(Path(SHADOW))
    os.nice(NICENESS)  # after loading: a busy machine must not keep it from its first answer
    record = _record(description.shape)
    content = b""
    last = inf
    with Journal(log / FOLDER, description, server) as journal:
        while more := os.read(0, _inference.BATCH * record.itemsize):
            started = time.process_time()
            content += more
            rows = np.frombuffer(content, record, len(content) // record.itemsize)
            content = content[rows.nbytes :]
            if len(rows) and time.monotonic() < last:
                journal.keep(at=rows["at"], probabilities=_answer(network, rows["image"]))
            if server_end.poll(1000 * REST * (time.process_time() - started)):
                last = min(last, time.monotonic() + ANSWER_S)


def _answer(network: Network, images: Images) -> Probabilities:
    """The answers; an image that gets none has a row of NaN, which counts as a wrong answer."""
    try:
        return network.ask(np.ascontiguousarray(images))
    except AnswersError:
        if len(images) == 1:
            return np.full((1, network.classes), np.nan, np.float32)
        rows = range(len(images))
        return np.concatenate([_answer(network, images[row : row + 1]) for row in rows])


if __name__ == "__main__":
    answer_all(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
