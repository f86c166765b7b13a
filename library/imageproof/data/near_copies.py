"""Find pictures that are the same but for noise, a small shift, brightness or their encoding."""

from collections.abc import Iterator
from math import prod

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from imageproof.base.dataset import Images, Rows, fingerprints

Floats = NDArray[np.float32]
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # of ITU-R 601, as Pillow's mode L
COLOURS = LUMA + np.array([0.5j, 0, -0.5j], np.complex64)  # so that spectra tell colours apart
AT_ONCE = 1 << 19  # numbers: what is computed from them stays in the processor's cache
# With these, 42 of 50 noisy and shifted copies are found among 70,000 images of handwriting, and
# 41 among 5,000 of flat shapes. Phases count for less than strengths, as a shift changes them.
TABLES, NEIGHBOURS, MAX_BITS, PHASE = 32, 4, 20, 0.25
# The two most alike ones of that handwriting differ by 20 levels of 255 somewhere.
# A whole channel's mean may differ by a quarter of that: JPEG moves it by 3 levels at most.
MAX_SHIFT, MAX_LEVELS, CAST, MIN_CORRELATION = 2, 21, 4, 0.95


def near_copies(images: Images) -> Rows:
    """For each image the first row of its group of near copies, -1 if it is that row itself.

    Two images (n ≥ 1, also mapped from a file larger than memory) are near copies if their pixels
    are equal, or if one, shifted by up to 2 pixels of 28, brighter or darker, nowhere differs from
    the other by more than noise; a copy's copies join its group. Few candidates are compared per
    image: the time is O(n log n), and a near copy may be missed, but no equal image.
    """
    n, pixels = len(images), prod(images.shape[1:])
    digests, spectra = np.empty(n, "S16"), np.empty((n, 64), np.int8)
    for rows in _blocks(n, pixels):
        digests[rows], spectra[rows] = fingerprints(images[rows]), _spectra(images[rows])
    first, copy = np.unique(digests, return_index=True, return_inverse=True)[1:]
    del digests
    pairs = _candidates(spectra, np.sort(first))
    del spectra
    blocks = (pairs[block] for block in _blocks(len(pairs), 8 * pixels))
    near = [block[are_alike(*(images[rows] for rows in block.T))] for block in blocks]
    links = tuple(np.concatenate([*near, np.stack([first[copy], np.arange(n)], axis=1)]).T)
    graph = coo_array((np.ones(len(links[0]), bool), links), shape=(n, n))
    _, group = connected_components(graph, directed=False)
    _, first, copy = np.unique(group, return_index=True, return_inverse=True)
    return np.where(first[copy] < np.arange(n), first[copy], -1)


def are_alike(a: Images, b: Images) -> NDArray[np.bool]:
    """Whether a[i] and b[i] are near copies at the shift where they correlate best: bool (n,).

    Both are averaged over a ninth of the side: noise fades, and few of the pixels need be compared.
    """
    n, height, width = a.shape[:3]
    side = min(height, width)
    blur, step, unit = side // 9 | 1, max(1, side // 28), max(1, side // 56)
    shift = min(MAX_SHIFT, side // 14) * unit
    planes = (v.reshape(n, height, width, -1).astype(np.float32) for v in (a, b))
    x, y = (uniform_filter(v, (1, blur, blur, 1))[:, blur // 2 :, blur // 2 :] for v in planes)
    height, width = (length - blur + 1 - 2 * shift for length in (height, width))
    x = x[:, shift : shift + height : step, shift : shift + width : step]
    y = y[:, : height + 2 * shift, : width + 2 * shift]
    windows = sliding_window_view(y, (height, width), (1, 2))[:, ::unit, ::unit, :, ::step, ::step]
    x = x.transpose(0, 3, 1, 2).reshape(n, -1)
    x = x - x.mean(axis=1, keepdims=True)
    y = windows.reshape(n, windows.shape[1] ** 2, -1)
    means = y.mean(axis=2)
    variances = np.einsum("nsp,nsp->ns", y, y) / y.shape[2] - means**2
    contrast, contrasts = (np.sqrt(np.maximum(v, 1)) for v in (x.var(axis=1), variances))
    correlations = (y @ x[..., None])[..., 0] / y.shape[2] / contrast[:, None] / contrasts
    best = np.arange(n), correlations.argmax(axis=1)
    difference = x / contrast[:, None] - ((y[best].T - means[best]) / contrasts[best]).T
    planes = difference.reshape(n, windows.shape[3], -1)
    luma = LUMA @ planes if planes.shape[1] == 3 else planes[:, 0]
    fine, coarse = np.abs(luma).max(axis=1), np.abs(planes.mean(axis=2)).max(axis=1)
    levels = np.maximum(contrast, contrasts[best]) * np.maximum(fine, coarse * CAST)
    alike: NDArray[np.bool] = (levels <= MAX_LEVELS) & (correlations[best] >= MIN_CORRELATION)
    return alike


def _candidates(spectra: NDArray[np.int8], rows: Rows) -> Rows:
    """Pairs of rows that may be near copies (m, 2): for each row at most the likeliest.

    An image's bits say which frequencies are stronger than usual. Each table sorts the rows by
    their bits in an order of its own, and compares neighbours (Charikar 2002, «Similarity
    estimation techniques from rounding algorithms», section 5).
    """
    usual = np.median(spectra[rows[:: len(rows) // 10_000 + 1]], axis=0)
    packed = np.empty((len(spectra), 8), np.uint8)
    for block in _blocks(len(spectra), 64):
        packed[block] = np.packbits(spectra[block] > usual, axis=1)
    rng = np.random.default_rng(0)
    best, partner = np.zeros(len(spectra), np.float32), np.arange(len(spectra))
    for _ in range(TABLES):
        keys, order = np.empty(len(rows), np.uint32), rng.permutation(64)[:32]
        for block in _blocks(len(rows), 64):
            bits = np.unpackbits(packed[rows[block]], axis=1).take(order, axis=1)
            keys[block] = np.packbits(bits, axis=1).view(np.uint32).ravel()
        rows = rows[np.argsort(keys, kind="stable")]
        here, there = _neighbours(packed.view(np.uint64)[rows, 0])
        for block in _blocks(len(here), 64):
            a, b = rows[here[block]], rows[there[block]]
            cosine = np.einsum("ij,ij->i", *(spectra[v].astype(np.float32) for v in (a, b)))
            better = cosine > best[a]
            best[a[better]], partner[a[better]] = cosine[better], b[better]
    rows = np.flatnonzero(best)
    return np.unique(np.sort(np.stack([rows, partner[rows]], axis=1)), axis=0)


def _neighbours(hashes: NDArray[np.uint64]) -> tuple[Rows, Rows]:
    """Positions with a near hash beside them, and the position of the nearest of these."""
    places = np.arange(len(hashes))
    bits, nearest = np.full(len(hashes), MAX_BITS + 1, np.uint8), places.copy()
    for step in range(1, NEIGHBOURS + 1):
        later, earlier = slice(step, None), slice(None, -step)
        distance = np.bitwise_count(hashes[later] ^ hashes[earlier])
        for here, there in (later, earlier), (earlier, later):
            nearer = distance < bits[here]
            bits[here][nearer], nearest[here][nearer] = distance[nearer], places[there][nearer]
    near = np.flatnonzero(bits <= MAX_BITS)
    return near, nearest[near]


def _spectra(images: Images) -> NDArray[np.int8]:
    """The lowest frequencies (n, 64): vectors of length 127.

    39 strengths, which no shift changes; 12 complex ones, as phases tell places apart; the cast.
    """
    plane = images @ COLOURS if images.ndim == 4 else images.astype(np.float32)
    rows, columns = (
        np.exp(2j * np.pi / side * np.outer(np.arange(side), waves)).astype(np.complex64)
        for side, waves in zip(plane.shape[1:], (range(5), range(-4, 5)), strict=True)
    )
    waves = rows.T @ (plane @ columns)
    low = PHASE * waves[:, :3, 2:7].reshape(-1, 15)[:, 2:]  # from the mean, whose real part is luma
    spectra = [np.abs(waves).reshape(-1, 45)[:, 5:44], low.real[:, 1:], low.imag]
    found = np.concatenate(spectra, axis=1)
    found *= 127 / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1)
    return found.astype(np.int8)


def _blocks(n: int, size: int) -> Iterator[slice]:
    at_once = max(1, AT_ONCE // size)
    return (slice(start, start + at_once) for start in range(0, n, at_once))
