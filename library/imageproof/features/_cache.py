"""Features that were computed once, kept by image: one SQLite file for each graph.

It is no output of DVC: whoever deletes it loses only time. A file belongs to what the graph
computes on this processor: its name also has a hash of the features that a fixed image gets.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from hashlib import blake2b, sha256
from pathlib import Path

import numpy as np
from onnx import ModelProto
from rich.console import Console
from rich.progress import track

from imageproof.base._dataset import Images, Shape, fingerprints
from imageproof.base._inference import Features
from imageproof.base.errors import ServiceError
from imageproof.base.text import one_line
from imageproof.features._backbone import extractor
from imageproof.features._graph import graph_sha256
from imageproof.system._process import project_root

FOLDER = Path(".state/features")  # of the project, which its experiments share
CHUNK = 500  # images that are looked up, asked and written at once
CHECKSUM_BYTES = 8
TABLE = "CREATE TABLE IF NOT EXISTS features (image BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID"


class FeatureCache:
    """Features by a graph of images uint8 (n, *shape); it is asked with `threads` threads."""

    def __init__(
        self,
        graph: ModelProto,
        shape: Shape,
        *,
        threads: int,
    ) -> None:
        self._ask = extractor(graph, FOLDER)
        self._threads = threads
        self.asked = 0  # images that were in no file
        probe = np.random.default_rng(0).integers(256, size=(1, *shape), dtype=np.uint8)
        features = self._ask(probe)
        self.width = features.shape[1]
        kernel = sha256(features.tobytes()).hexdigest()
        name = f"{graph_sha256(graph)[:32]}-{kernel[:16]}.sqlite"
        self.path = project_root() / FOLDER / name

    def features(self, images: Images, *, label: str) -> Features:
        """float32 (n, k); each image is asked alone, so that no batch can change its bits.

        `label` names the images beside the progress bar. A ServiceError if the file is damaged, or
        cannot be read or written.
        """
        values = np.empty((len(images), self.width), np.float32)
        chunks = [slice(start, start + CHUNK) for start in range(0, len(images), CHUNK)]
        console = Console(stderr=True)
        with self._opened() as database, ThreadPoolExecutor(self._threads) as pool:
            for chunk in track(chunks, label, console=console, disable=not console.is_terminal):
                values[chunk] = self._chunk(database, pool, images[chunk])
        return values

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with closing(sqlite3.connect(self.path, timeout=60)) as database:
                database.execute(TABLE)
                yield database
        except sqlite3.DatabaseError as error:
            cure = "if it is damaged, delete it: that costs only time"
            raise ServiceError(f"{self.path}: {one_line(error)}; {cure}") from None

    def _chunk(
        self,
        database: sqlite3.Connection,
        pool: ThreadPoolExecutor,
        images: Images,
    ) -> Features:
        keys = fingerprints(images)
        values = self._stored(database, keys)
        missing = {key: row for row, key in enumerate(keys) if key not in values}
        self.asked += len(missing)
        answers = pool.map(lambda row: self._ask(images[row : row + 1])[0], missing.values())
        values |= zip(missing, answers, strict=True)
        records = [(key, _sealed(values[key])) for key in missing]
        with database:
            database.executemany("INSERT OR REPLACE INTO features VALUES (?, ?)", records)
        return np.stack([values[key] for key in keys])

    def _stored(
        self,
        database: sqlite3.Connection,
        keys: Sequence[bytes],
    ) -> dict[bytes, Features]:
        marks = ", ".join("?" * len(keys))
        query = f"SELECT image, value FROM features WHERE image IN ({marks})"
        return {key: self._unsealed(value) for key, value in database.execute(query, keys)}

    def _unsealed(self, value: bytes) -> Features:
        content = value[CHECKSUM_BYTES:]
        if _sealed(np.frombuffer(content, np.uint8)) != value or len(content) != 4 * self.width:
            raise sqlite3.DatabaseError("a checksum differs")
        return np.frombuffer(content, np.float32)


def _sealed(value: np.ndarray) -> bytes:
    content = value.tobytes()
    return blake2b(content, digest_size=CHECKSUM_BYTES).digest() + content
