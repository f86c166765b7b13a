"""Telling images apart by content."""

from hashlib import blake2b

import numpy as np

from digits.core.dataset import Images


def fingerprints(images: Images) -> list[bytes]:
    """One 16-byte hash (BLAKE2b) per image (n, height, width): equal pixels, equal hash."""
    flat = np.ascontiguousarray(images).reshape(len(images), -1)
    return [blake2b(image.data, digest_size=16).digest() for image in flat]
