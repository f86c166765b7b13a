"""What images cost: to read files once, and each stage by the number of images and of classes."""

import sys
from collections.abc import Iterator
from math import log
from pathlib import Path
from shutil import rmtree
from typing import Any
from zipfile import ZipFile

import numpy as np
from numpy.lib import format as npy
from PIL import Image

from benchmarks.commands import run_command
from benchmarks.markdown import table
from benchmarks.workspace import Workspace
from imageproof.base._dataset import Images

FILES = 60_000
SIDES = {"32×32": (32, 33), "24×24 to 96×96": (24, 97)}
SHAPE = (32, 32, 3)
CHUNK = 2000
GROWN = ((6_000, 10), (60_000, 10), (600_000, 10), (60_000, 100), (60_000, 1000))
MODEL = "compact"
STAGES = (
    "pack",
    "validate",
    "explore",
    "split",
    "baseline",
    "train",
    "evaluate",
    "compare",
    "report",
)


def measure_images(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """Seconds of `pack` for pictures in folders, each half PNG, half JPEG."""
    _set_params(workspace)
    figures = {}
    for name, sides in SIDES.items():
        write_pictures(workspace.root / "data", FILES, sides)
        packed = workspace.run(sys.executable, "-m", "digits.stages.pack")
        figures[name] = {"count": FILES, "wall_s": packed.wall_s}
    yield figures


def measure_growth(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """Processor seconds, and memory without mapped files, of each stage on an npz of images."""
    _set_params(workspace)
    figures: dict[str, Any] = {}
    for images, classes in GROWN:
        workspace.set_params(data__classes=classes)
        costs = {}
        if classes == 10:
            write_pictures(workspace.root / "data", images, SIDES["32×32"])
            costs["pack, of folders"] = _cost(workspace, "pack")
            rmtree(workspace.root / "data")
            (workspace.root / "data").mkdir()
        write_npz(workspace.root / "data", images, classes)
        for stage in STAGES:
            model = [MODEL] if stage in ("train", "evaluate") else []
            costs[stage] = _cost(workspace, stage, *model)
        figures[f"{images} {classes}"] = costs
        print(figures, flush=True)
    yield figures


def _cost(workspace: Workspace, stage: str, *model: str) -> dict[str, float]:
    ran = run_command(workspace, (sys.executable, "-m", f"digits.stages.{stage}", *model))
    return {"cpu_s": ran.cpu_s, "own_mb": ran.own_mb}


def _set_params(workspace: Workspace) -> None:
    workspace.set_params(
        models=[MODEL],
        data__image={"size": [*SHAPE[:2]], "channels": "rgb", "fit": "stretch"},
        split__method="stratified",
        validate__max_mean_ink=255,
        train__compact__fit__epochs=1,
    )
    (workspace.root / "dvc.lock").unlink()
    for old in (workspace.root / "data").iterdir():
        old.unlink()


def write_pictures(folder: Path, count: int, sides: tuple[int, int]) -> None:
    """Half PNG, half JPEG, in a folder per class; heights and widths are drawn from a range."""
    random = np.random.default_rng(0)
    for start in range(0, count, CHUNK):
        images, labels = draw(start, CHUNK, 10)
        for number, (image, label) in enumerate(zip(images, labels, strict=True), start):
            path = folder / str(label) / f"{number:06}.{'png' if number % 2 else 'jpg'}"
            path.parent.mkdir(exist_ok=True)
            height, width = (int(side) for side in random.integers(*sides, 2))
            Image.fromarray(image).resize((width, height)).save(path)


def write_npz(folder: Path, count: int, classes: int) -> None:
    """So many images of so many classes, in pieces: they need not fit into memory."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, *SHAPE)}
    with ZipFile(folder / "images.npz", "w") as archive:
        with archive.open("x_train.npy", "w", force_zip64=True) as file:
            npy.write_array_header_1_0(file, header)
            for start in range(0, count, CHUNK):
                file.write(draw(start, CHUNK, classes)[0].tobytes())
        with archive.open("y_train.npy", "w") as file:
            npy.write_array(file, np.arange(count) % classes)


def draw(start: int, count: int, classes: int) -> tuple[Images, np.ndarray]:
    """Images of a coarse pattern for each class, and their labels; all differ by noise."""
    patterns = np.random.default_rng(0).integers(0, 128, (classes, 8, 8, 3))
    random = np.random.default_rng(start + 1)
    labels = np.arange(start, start + count) % classes
    coarse = patterns[labels] + random.integers(0, 108, (count, 8, 8, 3))
    fine = np.kron(coarse, np.ones((1, 4, 4, 1), np.int64))
    return (fine + random.integers(0, 20, fine.shape)).astype(np.uint8), labels


def images_section(part: dict[str, Any]) -> str:
    body = [
        [name, f"{row['count']:,}", f"{row['wall_s']:.1f}", f"{row['count'] / row['wall_s']:,.0f}"]
        for name, row in part.items()
    ]
    return f"""## Images

`pack` of colour pictures in folders, half PNG, half JPEG, as a whole command:

{table(["size", "files", "s", "files/s"], body)}"""


def growth_section(part: dict[str, Any]) -> str:
    grown = {tuple(map(int, name.split())): costs for name, costs in part.items()}
    by_images = {images: costs for (images, classes), costs in grown.items() if classes == 10}
    by_classes = {classes: costs for (images, classes), costs in grown.items() if images == 60_000}
    return f"""## Cost against images and classes

Processor seconds of each stage, and its peak memory without mapped files: images 32×32 in colour,
of 10 classes, as an npz or half PNG, half JPEG in folders; one epoch of `compact`. Above 128 MB
the training reads each batch from the file.

{_grown(by_images, "images")}

The same of 60,000 images, by the number of classes:

{_grown(by_classes, "classes")}"""


def _grown(part: dict[int, Any], what: str) -> str:
    body = []
    counts = [*part]
    for stage in part[counts[-1]]:
        costs = [part[count][stage] for count in counts]
        texts = [f"{cost['cpu_s']:.1f} s, {cost['own_mb']:.0f} MB" for cost in costs]
        last = log(costs[-1]["cpu_s"] / costs[-2]["cpu_s"]) / log(counts[-1] / counts[-2])
        body.append([stage, *texts, f"{last:.2f}"])
    head = ["stage", *(f"{count:,} {what}" for count in counts), "exponent of the last step"]
    return table(head, body)
