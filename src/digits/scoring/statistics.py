"""What is kept of each image while a stream passes by: a few bytes."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from digits.core.dataset import Images

Figures = tuple[np.ndarray, np.ndarray, np.ndarray]


def figures(images: Images) -> Figures:
    """Lowest and highest grey value uint8 (n,), and mean ink float32 (n,)."""
    ink = images.mean(axis=(1, 2), dtype=np.float32)
    return images.min(axis=(1, 2)), images.max(axis=(1, 2)), ink


def image_frame(parts: Iterable[Figures], *, shape: tuple[int, int]) -> pd.DataFrame:
    """One row per image, with those columns of `validation.summary` that need no label."""
    low, high, ink = (np.concatenate(column) for column in zip(*parts, strict=True))
    count = len(low)
    return pd.DataFrame(
        {
            "part": pd.Categorical(["input"]).repeat(count),
            "row": np.arange(count, dtype=np.int32),
            "shape": pd.Categorical([f"{shape[0]}x{shape[1]}"]).repeat(count),
            "min_pixel": low,
            "max_pixel": high,
            "mean_ink": ink,
            "contrast": high - low,  # never negative, so uint8 cannot wrap around
        }
    )
