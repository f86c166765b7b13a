"""How long whole commands take that ask a model, and how much memory: evaluate, predict, score."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from statistics import median
from tempfile import TemporaryFile
from typing import Any, NamedTuple

import numpy as np
import psutil
from PIL import Image

from benchmarks.markdown import table
from benchmarks.workspace import Workspace
from imageproof.base._dataset import Images

EVALUATED = "cnn"
SCORED_BY = "compact"
RUNS = 5
ROWS = (10_000, 1_000_000)
POLL_S = 0.05


class Command(NamedTuple):
    """What a command took: seconds in all and of the processors; and what it printed.

    Its peak memory is in 10⁶ bytes, in all and without mapped files.
    """

    wall_s: float
    cpu_s: float
    peak_mb: float
    own_mb: float
    printed: str


def measure_commands(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """Medians of evaluating a model on all rows, and of predicting one picture."""
    workspace.pull()
    uri = workspace.register(EVALUATED)
    picture = workspace.root / "picture.png"
    Image.fromarray(workspace.images("test")[0]).save(picture)
    commands = {
        "evaluate": (sys.executable, "-m", "digits.stages.evaluate", EVALUATED),
        "predict": ("digits", "predict", str(picture), "--model", uri),
    }
    figures = {name: _median(workspace, command) for name, command in commands.items()}
    yield {"model": EVALUATED, **figures}


def measure_scoring(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """`digits score` for each number of rows."""
    workspace.pull()
    images = workspace.images("test")
    uri = workspace.register(SCORED_BY)
    yield {
        "model": SCORED_BY,
        "score": {str(count): _score_command(workspace, uri, images, count) for count in ROWS},
    }


def _score_command(workspace: Workspace, uri: str, images: Images, count: int) -> dict[str, float]:
    """Seconds of the whole command, and its peak memory in 10⁶ bytes.

    The images are repeated to `count` rows.
    """
    path = workspace.root / "rows.npz"
    np.savez(path, images=np.resize(images, (count, *images.shape[1:])))
    command = ("digits", "score", str(path), "--overwrite", "--model", uri)
    ran = run_command(workspace, command)
    path.unlink()
    return {"wall_s": ran.wall_s, "peak_mb": ran.peak_mb}


def _median(workspace: Workspace, command: tuple[str, ...]) -> dict[str, float]:
    ran = [run_command(workspace, command) for _ in range(RUNS)]
    return {
        "wall_s": median(command.wall_s for command in ran),
        "peak_mb": median(command.peak_mb for command in ran),
    }


def run_command(workspace: Workspace, command: tuple[str, ...]) -> Command:
    """Run a command that must succeed, and watch its memory."""
    peak = 0
    own = 0
    start = time.perf_counter()
    before = os.times()
    with TemporaryFile("w+") as output:
        process = psutil.Popen(
            command, cwd=workspace.root, env=workspace.environment(), stdout=output
        )
        while process.poll() is None:
            with suppress(psutil.Error):  # it ends just now
                memory = process.memory_info()
                peak = max(peak, memory.rss)
                own = max(own, memory.rss - memory.shared)
            time.sleep(POLL_S)
        wall_s = time.perf_counter() - start
        after = os.times()
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
        cpu_s = sum(after[2:4]) - sum(before[2:4])  # of children
        output.seek(0)
        return Command(wall_s, cpu_s, peak / 1e6, own / 1e6, output.read())


def commands_section(part: dict[str, Any]) -> str:
    model = part["model"]
    commands = {"evaluate": f"evaluate `{model}`", "predict": "`digits predict`, one picture"}
    body = [
        [words, f"{part[name]['wall_s']:.1f}", f"{part[name]['peak_mb']:,.0f}"]
        for name, words in commands.items()
    ]
    return f"""## Commands that ask a model

Whole commands with `{model}`, imports and MLflow included; medians of five. Evaluating predicts
the test and hold-out rows, and a sample of test rows under each disturbance of `params.yaml`.

{table(["command", "s", "peak memory MB"], body)}"""


def scoring_section(part: dict[str, Any]) -> str:
    head = ["rows", "s in all", "peak memory MB"]
    body = [
        [f"{int(count):,}", f"{row['wall_s']:.1f}", f"{row['peak_mb']:,.0f}"]
        for count, row in part["score"].items()
    ]
    return f"""## Scoring

`digits score` with `{part["model"]}` on the test images, repeated in an npz file.

{table(head, body)}"""
