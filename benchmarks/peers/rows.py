"""What the plain scripts share: what they are asked, the rows, and what they print.

Each is asked as `python plain_torch.py SPLITS mlp|cnn EPOCHS SEED [PRECISION] [--compile]`; SPLITS
is the folder with train.npz, validation.npz and test.npz.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

BATCH = 128


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("splits", type=Path)
    parser.add_argument("model", choices=["mlp", "cnn"])
    parser.add_argument("epochs", type=int)
    parser.add_argument("seed", type=int)
    parser.add_argument("precision", choices=["float32", "bfloat16"], nargs="?", default="float32")
    parser.add_argument("--compile", action="store_true")
    return parser.parse_args()


def load(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Images float32 (n, 28, 28) of 0…1, and labels int64 (n,)."""
    with np.load(folder / f"{part}.npz") as arrays:
        return arrays["images"].astype("float32") / 255, arrays["labels"].astype("int64")


class Watch:
    """Seconds of a fit, which begins when the watch is made."""

    def __init__(self) -> None:
        self.ends = [time.perf_counter()]
        self.validated = list[float]()

    def epoch(self, accuracy: float) -> None:
        """An epoch and its validation have ended."""
        self.ends.append(time.perf_counter())
        self.validated.append(float(accuracy))

    def print(self, test_accuracy: float) -> None:
        result = {
            "fit_s": self.ends[-1] - self.ends[0],
            "epoch_s": float(np.median(np.diff(self.ends))),
            "val_accuracy": self.validated,
            "accuracy": float(test_accuracy),
        }
        print(json.dumps(result))
