"""Pictures of emoji: the baseline, a small network, frozen features, and fine-tuning in PyTorch."""

import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from shutil import rmtree
from timeit import timeit
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.emoji import write_emoji
from benchmarks.markdown import table
from benchmarks.peers.measure import make_environment
from benchmarks.workspace import REPOSITORY, THREADS, Workspace
from imageproof.artifacts import WORKSPACE, Artifacts
from imageproof.base._dataset import Labels
from imageproof.features._backbone import extractor, parse_network
from imageproof.judge._groups import Intervals

MODELS = ("compact", "features")
BASELINE = "baseline"
FINE_TUNING = "fine-tuning, PyTorch"
EPOCHS = 8
SEED = 46
ASKED = 200  # images, of the backbone
SIDE = 224  # pixels, of its images
SUSPECTED = 2000  # pictures
FLIPPED = 0.05  # of their labels
LISTED = 150  # suspects that a person looks at
DRAWS = 5
SPLITS = {0: (42, 43, 44), 100: (42,)}  # seeds, by the pictures of each class; 0: all
PEERS = REPOSITORY / "benchmarks/peers"


def measure_photos(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """Accuracy and seconds on all emoji, and on a hundred of each class."""
    packages = workspace.root / ".state/npm"
    packages.mkdir(parents=True)
    workspace.run("dvc", "pull", "--quiet", "backbones/efficientnet-lite0.onnx")
    python = make_environment(workspace.root / ".state/torch", PEERS / "requirements-finetune.txt")
    pictures: dict[str, Any] = {}
    figures = {"backbone": _measure_backbone(workspace), "pictures": pictures}
    for per_class, seeds in SPLITS.items():
        images = _set_data(workspace, packages, per_class)
        splits = pictures[str(images)] = []
        for seed in seeds:
            workspace.set_params(seed=seed)
            rows = _measure_ours(workspace)
            if per_class:
                rows[FINE_TUNING] = _measure_peer(workspace, python)
            splits.append(rows)
            print(figures, flush=True)
            yield figures
    yield figures | {"suspects": _measure_suspects(workspace, packages)}


def _measure_backbone(workspace: Workspace) -> dict[str, float]:
    """Images a second of random pixels by all threads, and the p95 of one image by one thread."""
    name = workspace.params()["train"]["features"]["backbone"]
    path = workspace.root / "backbones" / f"{name}.onnx"
    ask = extractor(parse_network(path.read_bytes(), path), path)
    random = np.random.default_rng(SEED)
    images = random.integers(256, size=(ASKED, 1, SIDE, SIDE, 3), dtype=np.uint8)
    ask(images[0])
    with ThreadPoolExecutor(workspace.threads) as pool:
        start = time.perf_counter()
        list(pool.map(ask, images))
        images_per_s = ASKED / (time.perf_counter() - start)
    seconds = [timeit(partial(ask, image), number=1) for image in images]
    p95_ms = 1000 * float(np.percentile(seconds, 95))
    return {"images_per_s": images_per_s, "p95_ms": p95_ms}


def _measure_suspects(workspace: Workspace, packages: Path) -> dict[str, float]:
    """Flip labels of some emoji, each to another class; which share is listed first, and s."""
    images = _set_data(workspace, packages, SUSPECTED // 9)
    table = workspace.root / "data/labels.csv"
    original = pd.read_csv(table)
    classes = original["label"].unique()
    random = np.random.default_rng(SEED)
    hits = []
    seconds = []
    for draw in range(DRAWS):
        flipped = random.choice(images, round(FLIPPED * images), replace=False)
        labels = original["label"].to_numpy(copy=True)
        labels[flipped] = [random.choice(classes[classes != labels[row]]) for row in flipped]
        original.assign(label=labels).to_csv(table, index=False)
        workspace.split()
        out = f".state/suspects-{draw}.csv"
        timed = workspace.run("digits", "suspects", "--model", "features", "--out", out)
        first = pd.read_csv(workspace.root / out)["name"][:LISTED]
        hits.append(original["file"].iloc[flipped].isin(first).mean())
        seconds.append(timed.wall_s)  # the first draw asks the backbone
    return {
        "images": images,
        "flipped": len(flipped),
        "share": float(np.mean(hits)),
        "first_s": seconds[0],
        "s": float(np.mean(seconds[1:])),
    }


def _set_data(workspace: Workspace, packages: Path, per_class: int) -> int:
    """Make the emoji the project's data, with the params that `adapt` finds for them."""
    data = workspace.root / "data"
    for folder in (data, workspace.root / "artifacts", workspace.root / ".state/features"):
        rmtree(folder, ignore_errors=True)
    images = write_emoji(data, packages=packages, per_class=per_class)
    workspace.set_params(models=[*MODELS], split__group="group")
    workspace.run("digits", "adapt", "--write")
    return images


def _measure_ours(workspace: Workspace) -> dict[str, dict[str, float]]:
    start = time.perf_counter()
    workspace.split()
    split_s = time.perf_counter() - start
    artifacts = Artifacts(workspace.root)
    baseline_s = _run_stages(workspace, ("baseline",))
    answers = artifacts.baseline.read_predictions()["test"]
    rows = {BASELINE: _row(workspace, answers.argmax(axis=1), split_s + baseline_s)}
    for model in MODELS:
        rmtree(workspace.root / ".state/features", ignore_errors=True)
        seconds = _run_stages(workspace, ("train", model), ("evaluate", model))
        answers = artifacts.evaluated(model).read_predictions()["test"]
        rows[model] = _row(workspace, answers.argmax(axis=1), split_s + seconds)
        rows[model]["fit_s"] = artifacts.trained(model).read_metrics()["elapsed_s"]
    return rows


def _measure_peer(workspace: Workspace, python: str) -> dict[str, float]:
    out = workspace.root / ".state/answers.npz"
    splits = WORKSPACE.split_summary.parent
    command = (python, str(PEERS / "finetune_torch.py"), str(splits), str(EPOCHS), str(SEED))
    threads = dict.fromkeys(THREADS, str(workspace.threads))
    timed = workspace.run(*command, str(out), **threads)
    with np.load(out) as arrays:
        row = _row(workspace, arrays["answers"], timed.wall_s)
        return row | {"fit_s": float(arrays["fit_s"])}


def _run_stages(workspace: Workspace, *stages: tuple[str, ...]) -> float:
    """The seconds of all these commands."""
    start = time.perf_counter()
    for module, *arguments in stages:
        workspace.run(sys.executable, "-m", f"digits.stages.{module}", *arguments)
    return time.perf_counter() - start


def _row(workspace: Workspace, answers: Labels, seconds: float) -> dict[str, float]:
    """The accuracy on the test rows with its interval, whose units are the groups."""
    test = Artifacts(workspace.root).read_split("test").data
    hits = answers == test.labels
    lower, upper = Intervals(hits, test.groups).of()
    return {
        "rows": len(hits),
        "accuracy": float(hits.mean()),
        "lower": lower,
        "upper": upper,
        "wall_s": seconds,
    }


def photos_section(part: dict[str, Any]) -> str:
    """The section of the page."""
    backbone = part["backbone"]
    head = ["pictures", "model", "splits", "test rows", "test accuracy", "95 % intervals"]
    head += ["s", "fit, s"]
    body = [
        [f"{int(count):,}", name, str(len(splits)), *_cells([rows[name] for rows in splits])]
        for count, splits in part["pictures"].items()
        for name in splits[0]
    ]
    return f"""## Photographs

The emoji of four vendors (npm packages `emoji-datasource-…`), 64×64 pixels, by their category; all
pictures of one emoji are in one part, and the interval counts emoji. `digits adapt --write` chose
the params. Of several splits, which differ by the seed alone, means; the intervals go from the
lowest end of one to the highest end of one. *s* is from the pictures to the accuracy: reading and
splitting, training, evaluating, with an empty cache of features; *fit* is the training alone.
Fine-tuning trains the whole network of `features` on the same rows for {EPOCHS} epochs.

{table(head, body)}

The backbone takes {backbone["images_per_s"]:.0f} images/s of {SIDE}×{SIDE} pixels on all threads;
one image on one thread {backbone["p95_ms"]:.0f} ms (p95).{_suspects_text(part.get("suspects"))}"""


def _cells(rows: Sequence[dict[str, float]]) -> list[str]:
    """Of a model's splits: test rows, accuracy, the outer ends of the intervals, seconds of all and
    of the fit.
    """
    mean = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
    lower = min(row["lower"] for row in rows)
    upper = max(row["upper"] for row in rows)
    return [
        f"{mean['rows']:,.0f}",
        f"{mean['accuracy']:.1%}",
        f"{lower:.1%} to {upper:.1%}",
        f"{mean['wall_s']:,.0f}",
        f"{mean['fit_s']:,.0f}" if "fit_s" in mean else "–",
    ]


def _suspects_text(suspects: dict[str, float] | None) -> str:
    if not suspects:
        return ""
    return f"""

Of {suspects["images"]:,} emoji the labels of {suspects["flipped"]} are flipped, each to any other
class: {suspects["share"]:.1%} of them are among the first {LISTED} that
`digits suspects --model features` lists (mean of {DRAWS} draws), in {suspects["s"]:.0f} s,
the first time {suspects["first_s"]:.0f} s."""
