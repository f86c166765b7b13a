"""How many of the labels that were flipped on purpose `digits suspects` finds."""

import os
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.workspace import Workspace
from imageproof.artifacts import Artifacts
from imageproof.data.readers._raw import read_parts

SEED = 32
SHARE = 0.01
MODEL = "sprint"  # of examples/models, the fastest


def measure_suspects(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """Flip a share of the training labels, each to another class; ask for suspects, and count."""
    workspace.add_example(MODEL)
    workspace.split()
    rows = Artifacts(workspace.root).read_split("train").rows
    rng = np.random.default_rng(SEED)
    flipped = rng.choice(rows, round(SHARE * len(rows)), replace=False)
    labels = read_parts(workspace.root / "data")[0].data.labels
    labels[flipped] = (labels[flipped] + rng.integers(1, 10, len(flipped))) % 10
    [file] = (workspace.root / "data").glob("train-labels*")
    header = b"\0\0\x08\x01" + len(labels).to_bytes(4, "big")
    file.unlink()  # it may be a link into DVC's cache
    file.write_bytes(header + labels.astype(np.uint8).tobytes())
    workspace.run(sys.executable, "-m", "digits.stages.pack")
    before = os.times()
    timed = workspace.run("digits", "suspects", "--model", MODEL)
    after = os.times()
    table = pd.read_csv(workspace.root / "suspects.csv")
    named = table["name"].where(table["part"] == "train", "row -1").str.removeprefix("row ")
    hits = np.isin(named.astype(int), flipped)
    yield {
        "flipped": len(flipped),
        "listed": len(table),
        "precision": float(hits[: len(flipped)].mean()),
        "recall": float(hits.sum() / len(flipped)),
        "wall_s": timed.wall_s,
        "cpu_s": sum(after[2:4]) - sum(before[2:4]),
    }


def suspects_section(part: dict[str, Any]) -> str:
    count = part["flipped"]
    return f"""## Wrong labels

The labels of {count} of the 48,000 training images are flipped, each to any other class.
`digits suspects --model {MODEL}` lists {part["listed"]:,} of all 70,000 labels.
{part["precision"]:.1%} of the first {count} are flipped ones; {part["recall"]:.1%} of the flipped
ones are listed. It takes {part["wall_s"]:.0f} s, and {part["cpu_s"]:.0f} s of the processors; with
`compact`, its default, the trainings take longer."""
