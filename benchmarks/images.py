"""What images cost: to read files once, and in each later stage from 6,000 to 600,000 images."""

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
from numpy.lib import format as npy
from PIL import Image

from benchmarks.workspace import Workspace
from digits.artifacts import PACK
from digits.data.packed import IMAGES, ROWS, SUMMARY
from digits.data.packing import describe
from digits.toolkit.dataset import Images
from digits.toolkit.files import write_json

FILES, COUNTS = 60_000, (6_000, 60_000, 600_000)
SIDES = {"32×32": (32, 33), "24×24 to 96×96": (24, 97)}
SHAPE, CLASSES, CHUNK = (32, 32, 3), 10, 2000
STAGES = ("validate", "split", "train compact", "evaluate compact")
POLL_S = 0.05


def measure_images(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """Files per second of `pack`; processor seconds and memory of the stages after it."""
    workspace.set_params(
        data__image={"size": [*SHAPE[:2]], "channels": "rgb", "fit": "stretch"},
        split__method="stratified",
        validate__max_mean_ink=255,
        train__compact__fit__epochs=1,
    )
    (workspace.root / "dvc.lock").unlink()
    figures: dict[str, Any] = {"files": {}, "stages": {}}
    for name, sides in SIDES.items():
        write_pictures(workspace.root / "data", sides)
        packed = workspace.run(sys.executable, "-m", "digits.stages.pack")
        figures["files"][name] = {"count": FILES, "wall_s": packed.wall_s}
    for count in COUNTS:
        write_packed(workspace.root / PACK, count)
        costs = {stage: _cost(workspace, stage) for stage in STAGES}
        figures["stages"][str(count)] = costs
    yield figures


def write_pictures(folder: Path, sides: tuple[int, int]) -> None:
    """Half PNG, half JPEG, in a folder per class; heights and widths are drawn from a range."""
    random = np.random.default_rng(0)
    for old in folder.iterdir():
        if old.is_file():
            old.unlink()
    for start in range(0, FILES, CHUNK):
        images, labels = draw(start, CHUNK)
        for number, (image, label) in enumerate(zip(images, labels, strict=True), start):
            path = folder / str(label) / f"{number:06}.{'png' if number % 2 else 'jpg'}"
            path.parent.mkdir(exist_ok=True)
            height, width = (int(side) for side in random.integers(*sides, 2))
            Image.fromarray(image).resize((width, height)).save(path)


def write_packed(folder: Path, count: int) -> None:
    """What `pack` would leave of so many images."""
    tables, header = [], {"descr": "|u1", "fortran_order": False, "shape": (count, *SHAPE)}
    with (folder / IMAGES).open("wb") as file:
        npy.write_array_header_1_0(file, header)
        for start in range(0, count, CHUNK):
            images, labels = draw(start, min(CHUNK, count - start))
            file.write(images.tobytes())
            tables.append(describe(images).assign(label=labels))
    rows = pd.concat(tables, ignore_index=True)
    stored: dict[str, Any] = dict(zip(("height", "width"), SHAPE, strict=False))
    stored |= {"mode": "colour", "fault": None}
    rows = rows.assign(part="train", row=rows.index, name=rows.index.map("row {}".format), **stored)
    rows.assign(file="data/images.npz").to_parquet(folder / ROWS)
    source = {"file": "data/images.npz", "rows": count}
    write_json(folder / SUMMARY, {"class_names": None, "sources": {"train": source}})


def draw(start: int, count: int) -> tuple[Images, np.ndarray]:
    """Images of a coarse pattern for each class, and their labels; all differ by noise."""
    patterns = np.random.default_rng(0).integers(0, 128, (CLASSES, 8, 8, 3))
    random, labels = np.random.default_rng(start + 1), np.arange(start, start + count) % CLASSES
    coarse = patterns[labels] + random.integers(0, 108, (count, 8, 8, 3))
    fine = np.kron(coarse, np.ones((1, 4, 4, 1), np.int64))
    return (fine + random.integers(0, 20, fine.shape)).astype(np.uint8), labels


def _cost(workspace: Workspace, stage: str) -> dict[str, float]:
    """Processor seconds of a stage, and its peak memory in 10⁶ bytes without mapped files."""
    before, own = resource.getrusage(resource.RUSAGE_CHILDREN), 0
    name, *model = stage.split()
    command = [sys.executable, "-m", f"digits.stages.{name}", *model]
    process = psutil.Popen(command, cwd=workspace.root, env=workspace.environment())
    while process.poll() is None:
        with suppress(psutil.Error):  # it ends just now
            memory = process.memory_info()
            own = max(own, memory.rss - memory.shared)
        time.sleep(POLL_S)
    if process.returncode:
        raise RuntimeError(f"{stage} ended with {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = sum(getattr(after, k) - getattr(before, k) for k in ("ru_utime", "ru_stime"))
    return {"cpu_s": cpu_s, "own_mb": own / 1e6}
