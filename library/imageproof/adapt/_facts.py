"""What the rules need to know of the data, and how many rows the parts of its split will have.

Pictures are known by their headers alone.
"""

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from math import ceil, floor
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import binom

from imageproof.base._class_names import class_numbers
from imageproof.base._dataset import Images, Shape
from imageproof.base.errors import DataError
from imageproof.base.text import first_names
from imageproof.data._class_names import in_order
from imageproof.data._sources import from_arrays, read_headers
from imageproof.data.packed import META
from imageproof.data.readers._contents import Part
from imageproof.data.readers._folders import Listing, list_pictures
from imageproof.data.readers._raw import read_parts
from imageproof.data.split_params import SplitParams
from imageproof.data.splitting import is_only_train
from imageproof.dvc.params_yaml import validated
from imageproof.pictures._digit import border
from imageproof.pictures._reading import read_pictures

MAX_HEADERS = 20_000  # pictures, evenly spread over the folder
MAX_PIXELS_READ = 200  # images whose pixels are looked at
MAX_CLASSES = 10_000
SMALL = 100  # pixels of the longer side
DIGIT_SIDE = 64  # pixels, at most
PLAIN = 16  # grey values between which the border of a drawing lies
PLAIN_SHARE = 0.95  # of the images of handwriting that have such a border

CHANCE = 0.05  # that a hashed part has fewer rows of any class than it is taken to have

Params = dict[str, Any]  # the content of params.yaml
Size = tuple[int, int]  # height, width


class Facts(NamedTuple):
    """The data as a whole; `counts` and `test_counts` have the rows of each class.

    `test_counts` are those of the data's own test part, empty without one; `only_train` those of
    `counts` that are training rows whatever the split, empty if there are none.
    """

    class_names: Sequence[str]
    counts: Sequence[int]
    test_counts: Sequence[int]
    sizes: Counter[Size]
    has_colour: bool
    is_transparent: bool
    is_digit_like: bool  # small, grey, of one size, with a border that no stroke touches
    columns: Mapping[str, Counter[str]] = {}  # further ones of labels.csv: images by value
    only_train: Sequence[int] = ()
    warnings: Sequence[str] = ()  # what is left out of the folder

    @property
    def divided(self) -> list[int]:
        """The rows of each class that may be in any part."""
        bound = self.only_train or [0] * len(self.counts)
        return [count - own for count, own in zip(self.counts, bound, strict=True)]

    def rows_per_group(self, column: str | None) -> float:
        """The mean; 1 without groups."""
        groups = self.columns.get(column or "")
        return sum(self.counts) / len(groups) if groups else 1.0

    @property
    def is_uniform(self) -> bool:
        """Whether all images have one size, and a small one."""
        return len(self.sizes) == 1 and max(max(self.sizes)) <= SMALL

    @property
    def short_side(self) -> int:
        """Pixels that the shorter side of nine in ten images has at least."""
        sides = sorted(min(size) for size in self.sizes.elements())
        return sides[len(sides) // 10]

    @property
    def proportion(self) -> float:
        """The median of the longer side over the shorter one."""
        return median(max(size) / min(size) for size in self.sizes.elements())


def read_facts(folder: Path) -> Facts:
    """Look at a folder by the readers of `pack`.

    A DataError as theirs, with one class only, or with a class that has no image in a part.
    """
    listing = list_pictures(folder)
    facts = _of_pictures(folder, listing) if listing else _of_arrays(read_parts(folder))
    if len(facts.counts) < 2:
        raise DataError(f"{folder}: has one class, {facts.class_names[0]}; two are needed")
    for part, counts in (("train", facts.counts), ("test", facts.test_counts)):
        empty = [facts.class_names[label] for label, count in enumerate(counts) if not count]
        if empty:
            mend = "add some, or take the class out of the data"
            raise DataError(f"{folder}: {part}: no images of {first_names(empty)}; {mend}")
    return facts


def whole_part(facts: Facts, params: Params, part: str) -> int:
    """How many rows a part will have."""
    divided = sum(facts.divided)
    [rows] = part_rows([divided], facts, params, part)
    if part == "train":
        rows += floor((sum(facts.counts) - divided) * params["data"]["percent"] / 100)
    return rows


def part_rows(
    counts: Sequence[int],
    facts: Facts,
    params: Params,
    part: str,
) -> list[int]:
    """How many of so many rows of each class a part will have.

    Where rows or groups are hashed, all classes have as many with a chance of 95 %.
    """
    split = validated(SplitParams, params["split"], "split")
    shares = split.shares()
    share = 1 - sum(shares.values()) if part == "train" else shares[part]
    share *= params["data"]["percent"] / 100
    if split.method != "hashed":
        return [floor(count * share) for count in counts]
    size = facts.rows_per_group(split.group)
    chance = CHANCE / len(counts)
    return [int(size * binom.ppf(chance, ceil(count / size), share)) for count in counts]


def _of_pictures(folder: Path, listing: Listing) -> Facts:
    rows = listing.rows
    step = -(-len(rows) // MAX_HEADERS)
    paths = rows["path"][::step].tolist()
    headers = read_headers(paths).assign(path=paths).dropna(subset="mode")
    if headers.empty:
        raise DataError(f"{folder}: no picture can be read, of {len(rows):,}")

    def read(shape: Shape) -> Images:
        step = -(-len(headers) // MAX_PIXELS_READ)
        some = [Path(os.fsdecode(path)) for path in headers["path"][::step]]
        return np.stack([image for image, _ in read_pictures(some, shape=shape, fit="stretch")])

    names = in_order([*rows["label"].unique()])
    return _facts(rows, headers, read, names)._replace(warnings=listing.warnings)


def _of_arrays(parts: Sequence[Part]) -> Facts:
    rows = from_arrays(parts).rows
    labels = rows["label"]
    if labels.min() < 0 or labels.max() >= MAX_CLASSES:
        raise DataError(
            f"data: labels from {labels.min()} to {labels.max()}; whole numbers from 0 to "
            f"{MAX_CLASSES - 1:,} are allowed"
        )
    images = parts[0].data.images
    step = -(-len(images) // MAX_PIXELS_READ)
    names = class_numbers(labels.max() + 1)
    return _facts(rows.assign(label=labels.astype(str)), rows, lambda _: images[::step], names)


def _facts(
    rows: pd.DataFrame,
    headers: pd.DataFrame,
    read: Callable[[Shape], Images],
    names: Sequence[str],
) -> Facts:
    """`read` gives some images of a shape, which is asked only of small grey ones."""
    sizes = Counter(zip(headers["height"].astype(int), headers["width"].astype(int), strict=True))
    has_colour = bool((headers["mode"] == "colour").any())
    is_digit_like = len(sizes) == 1 and max(max(sizes)) <= DIGIT_SIDE and not has_colour
    if is_digit_like:
        contrasts = np.ptp(border(np.moveaxis(read(*sizes), 0, -1)), axis=0)
        is_digit_like = bool(np.mean(contrasts <= PLAIN) >= PLAIN_SHARE)
    is_test = rows["part"] == "test"
    columns = {
        name.removeprefix(META): Counter(rows[name][~is_test])
        for name in map(str, rows)
        if name.startswith(META)
    }
    return Facts(
        class_names=names,
        counts=_count(rows[~is_test], names),
        test_counts=_count(rows[is_test], names),
        sizes=sizes,
        has_colour=has_colour,
        is_transparent=bool(headers["transparent"].any()),
        is_digit_like=is_digit_like,
        columns=columns,
        only_train=_count(rows[is_only_train(rows)], names),
    )


def _count(rows: pd.DataFrame, names: Sequence[str]) -> Sequence[int]:
    counts = rows["label"].value_counts().reindex([*names], fill_value=0)
    return counts.tolist() if len(rows) else ()
