"""stub"""

import numpy as np


def near_copies(images: np.ndarray) -> np.ndarray:
    return np.full(len(images), -1, np.int64)
