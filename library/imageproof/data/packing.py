"""Raw data packed: all images in one form, in one file that later stages map into memory."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from imageproof.base._class_names import class_names as all_class_names
from imageproof.base._dataset import (
    Fit,
    ImageParams,
    Images,
    Shape,
    fingerprints,
    write_header,
)
from imageproof.base._dataset import RawData as RawData  # of a project's reader
from imageproof.base._naming import adapt_hint
from imageproof.base.errors import DataError
from imageproof.base.files import replacing, write_json
from imageproof.base.text import first_names
from imageproof.data import packed
from imageproof.data._sources import Items, describe_parts, find_images, in_chunks
from imageproof.data.packed import SOURCE_HASH
from imageproof.data.readers import corrections
from imageproof.data.readers._folders import BYTES, left_out
from imageproof.data.readers._versioned import is_hidden, list_files
from imageproof.pictures._conversion import convert_picture
from imageproof.pictures._reading import read_and_hash

ROW_GROUP = 50_000  # rows that are encoded at once
ALMOST_WHITE = 250  # of 255: what JPEG makes of white

Described = tuple[Images, pd.DataFrame]  # images, and what is known of each


def pack(
    folder: Path,
    out: Path,
    image: ImageParams,
    classes: int,
    class_names: list[str] | None,
    *,
    read: Callable[[Path], RawData] | None = None,
) -> tuple[Shape, int, Sequence[str]]:
    """Bring all images in a folder to the form of `image`; write what `packed.load` reads.

    `read` is a project's own reader of the folder, in place of those of pictures and arrays.
    Returns the shape of the array, how many labels were corrected, and warnings. A DataError if
    there are no images or no common form, or of `corrections.apply`. A picture that cannot be read
    is a black image whose `fault` says why.
    """
    out.mkdir(parents=True, exist_ok=True)
    files = list_files(folder)
    source = find_images(folder, out, classes, class_names, read)
    rows = source.rows.assign(row=source.rows.groupby("part", sort=False).cumcount())
    if "name" not in rows:
        rows["name"] = "row " + rows["row"].astype(str)
    transparent = rows.pop("transparent").to_numpy()
    shape = (len(rows), *_common_shape(folder, rows, image))
    corrected = 0

    with replacing(out / packed.IMAGES) as temporary:
        chunks = in_chunks(convert, source.items, shape[1:], image.fit)
        rows = pd.concat([rows, _write_images(temporary, shape, chunks)], axis=1)
        if corrections.FILE in files.versioned:
            names = all_class_names(classes, class_names or source.class_names)
            hashed = rows.assign(hash=packed.hex_hashes(rows[SOURCE_HASH]))
            rows["label"], corrected = corrections.apply(folder / corrections.FILE, hashed, names)
    with replacing(out / packed.ROWS) as temporary:
        rows.to_parquet(temporary, row_group_size=ROW_GROUP)
    summary = {"class_names": source.class_names, "sources": describe_parts(folder, source)}
    write_json(out / packed.SUMMARY, summary)

    ignored = [name for name in files.ignored if not is_hidden(name)]
    warnings = [*source.warnings, *left_out(folder, ignored, ".dvcignore names them")]
    if image.fit == "pad" and transparent.any():
        warnings += _warn_of_fills(packed.load(out), transparent)
    return shape, corrected, warnings


def describe(images: Images) -> pd.DataFrame:
    """For each image min_pixel, max_pixel, mean_ink (its mean value), contrast, and its hash."""
    pixels = images.reshape(len(images), -1)
    low = pixels.min(axis=1)
    high = pixels.max(axis=1)
    return pd.DataFrame(
        {
            "min_pixel": low,
            "max_pixel": high,
            "mean_ink": pixels.mean(axis=1).round(2),
            "contrast": high - low,  # never negative, so uint8 cannot wrap around
            "hash": pd.Series(fingerprints(images), dtype=BYTES),
        }
    )


def _common_shape(folder: Path, rows: pd.DataFrame, image: ImageParams) -> Shape:
    readable = rows[rows["mode"].notna()]
    if readable.empty:
        raise DataError(f"{folder}: no picture can be read, of {len(rows):,}")

    has_colour = (readable["mode"] == "colour").any()
    in_colour = image.channels == "rgb" or (image.channels == "auto" and has_colour)
    if in_colour and image.fit == "digit":
        raise DataError(
            f"{folder}: has colour, data.image.fit is digit; set channels: grey, or another fit; "
            f"{adapt_hint()}"
        )

    size: Sequence[int] | str = image.size
    if isinstance(size, str):
        sizes = Counter(zip(readable["height"], readable["width"], strict=True))
        if len(sizes) > 1:
            texts = [f"{h:.0f}×{w:.0f}: {count}" for (h, w), count in sizes.most_common()]
            raise DataError(
                f"{folder}: pictures of {len(sizes)} sizes ({first_names(texts)}); "
                f"set data.image.size: [height, width]; {adapt_hint()}"
            )
        [size] = sizes
    channels = [3] if in_colour else []
    return (*map(int, size), *channels)


def _warn_of_fills(data: packed.Packed, transparent: np.ndarray) -> list[str]:
    """A warning where transparent pictures are among others that are padded with a colour."""
    height, width = data.images.shape[1:3]
    is_padded = data.rows["height"] * width != data.rows["width"] * height
    opaque = np.flatnonzero(is_padded & ~transparent & data.rows["fault"].isna())
    corners = data.images[opaque, 0, 0]
    is_coloured = corners < ALMOST_WHITE
    coloured = np.count_nonzero(is_coloured if corners.ndim == 1 else is_coloured.any(axis=1))
    warning = (
        "data.image.fit: pad has white behind and around "
        f"{transparent.sum():,} transparent pictures, other colours around {coloured:,} opaque "
        "ones: a model may tell them apart by that"
    )
    return [warning] if coloured else []


def convert(items: Items, shape: Shape, fit: Fit) -> Described:
    """Images in this shape, with what `describe` finds, their source's hash, and faults."""
    if isinstance(items, np.ndarray) and items.shape[1:] == shape:
        table = describe(items).assign(fault=pd.Series(dtype="str"))
        return items, table.assign(**{SOURCE_HASH: table["hash"]})

    images = np.zeros((len(items), *shape), np.uint8)
    hashes: list[bytes | None] = [None] * len(items)
    faults: list[str | None] = [None] * len(items)
    for number, item in enumerate(items):
        try:
            if isinstance(item, bytes):
                path = Path(os.fsdecode(item))
                images[number], hashes[number] = read_and_hash(path, shape=shape, fit=fit)
            else:
                [hashes[number]] = fingerprints(item[np.newaxis])
                images[number], _ = convert_picture(Image.fromarray(item), shape=shape, fit=fit)
        except DataError as error:
            faults[number] = str(error)
    table = describe(images).assign(fault=pd.array(faults, dtype="str"))
    table[SOURCE_HASH] = pd.Series(hashes, dtype=BYTES)
    pixel_columns = ["mean_ink", "contrast"]  # which would call it blank, too
    table[pixel_columns] = table[pixel_columns].where(table["fault"].isna())
    return images, table


def _write_images(
    path: Path,
    shape: Shape,
    chunks: Iterator[Described],
) -> pd.DataFrame:
    """Write the images as an array of this shape; what is known of them."""
    tables = []
    with path.open("wb") as file:
        write_header(file, shape)
        for images, table in chunks:
            file.write(images.tobytes())
            tables.append(table)
    return pd.concat(tables, ignore_index=True)
