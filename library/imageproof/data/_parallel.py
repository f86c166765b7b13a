"""Work on many images: in chunks, on all cores, with a bar in a terminal."""

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed  # type: ignore[import-untyped]
from rich.console import Console
from rich.progress import track

from imageproof.base._dataset import Images

CHUNK = 250  # images that a process takes at a time
FEW = 1000  # images, below which processes take longer to start than they save

Items = Images | pd.Series  # images, or paths of pictures


def in_chunks(work: Callable[..., Any], items: Sequence[Items], *arguments: Any) -> Iterator[Any]:
    """The result of the work on each chunk, in order."""
    chunks = [(values, start) for values in items for start in range(0, len(values), CHUNK)]
    is_short = sum(map(len, items)) < FEW or isinstance(items[0], np.ndarray)
    pool = Parallel(n_jobs=1 if is_short else -1, return_as="generator")
    results = pool(delayed(work)(_chunk(*chunk), *arguments) for chunk in chunks)
    console = Console(stderr=True, quiet=is_short or not sys.stderr.isatty())
    return iter(track(results, "images read", len(chunks), console=console))


def _chunk(values: Items, start: int) -> Sequence[bytes] | Images:
    chunk = values[start : start + CHUNK]
    return chunk if isinstance(chunk, np.ndarray) else chunk.tolist()
