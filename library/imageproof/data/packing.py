"""Raw data packed: all images in one form, in one file that later stages map into memory."""

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from joblib import Parallel, delayed  # type: ignore[import-untyped]
from numpy.lib import format as npy
from PIL import Image
from rich.console import Console
from rich.progress import track

from imageproof.base.dataset import (
    Fit,
    ImageParams,
    Images,
    RawData,
    Shape,
    differ_in_case,
    fingerprints,
)
from imageproof.base.errors import DataError
from imageproof.base.files import replacing, write_json, writing_to
from imageproof.base.text import first_names
from imageproof.data.packed import IMAGES, ROWS, SOURCE_HASH, SUMMARY, hex_hashes
from imageproof.data.readers import corrections
from imageproof.data.readers.folders import BYTES, left_out, list_pictures, names_in_order
from imageproof.data.readers.raw import read_raw, sources
from imageproof.data.readers.versioned import is_hidden, list_files
from imageproof.pictures.reading import convert_picture, probe, read_and_hash

CHUNK = 250  # images that a process takes at a time
FEW = 1000  # images, below which processes take longer to start than they save
ROW_GROUP = 50_000  # rows that are encoded at once
SHOWN = 5  # sizes or classes that an error names

Items = Sequence[bytes] | Images  # paths of pictures, or images


class _Raw(NamedTuple):
    rows: pd.DataFrame  # as of Packed, but for name, fault and what `describe` finds
    items: Sequence["pd.Series[bytes] | Images"]  # together one for each row
    sources: dict[str, dict[str, Any]]
    class_names: list[str] | None = None
    warnings: Sequence[str] = ()


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
    own = _arrays(folder, read(folder)) if read else None
    raw = own or _pictures(folder, classes, class_names) or _read_arrays(folder, out)
    rows = raw.rows.assign(row=raw.rows.groupby("part", sort=False).cumcount())
    if "name" not in rows:
        rows["name"] = "row " + rows["row"].astype(str)
    names = raw.class_names or class_names or [*map(str, range(classes))]
    shape = _shape(folder, raw.rows, image)
    whole = (len(raw.rows), *shape)
    with replacing(out / IMAGES) as temporary, temporary.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": whole}
        npy.write_array_header_1_0(file, header)
        tables = []
        for images, table in _parallel(_bring, raw.items, shape, image.fit):
            file.write(images.tobytes())
            tables.append(table)
        found = pd.concat(tables, ignore_index=True)
        corrected = 0
        if corrections.FILE in files.versioned:
            path = folder / corrections.FILE
            hashed = rows.assign(hash=hex_hashes(found[SOURCE_HASH]))
            rows["label"], corrected = corrections.apply(path, hashed, names)
    with replacing(out / ROWS) as temporary:
        pd.concat([rows, found], axis=1).to_parquet(temporary, row_group_size=ROW_GROUP)
    write_json(out / SUMMARY, {"class_names": raw.class_names, "sources": raw.sources})
    ignored = [name for name in files.ignored if not is_hidden(name)]
    return whole, corrected, [*raw.warnings, *left_out(folder, ignored, ".dvcignore names them")]


def describe(images: Images) -> pd.DataFrame:
    """For each image min_pixel, max_pixel, mean_ink (its mean value), contrast, and its hash."""
    pixels = images.reshape(len(images), -1)
    low, high = pixels.min(axis=1), pixels.max(axis=1)
    return pd.DataFrame(
        {
            "min_pixel": low,
            "max_pixel": high,
            "mean_ink": pixels.mean(axis=1).round(2),
            "contrast": high - low,  # never negative, so uint8 cannot wrap around
            "hash": pd.Series(fingerprints(images), dtype=BYTES),
        }
    )


def _pictures(folder: Path, classes: int, given: list[str] | None) -> _Raw | None:
    if not (listing := list_pictures(folder)):
        return None
    found = names_in_order([*listing.rows["label"].unique()])
    names = _class_names(folder, found, classes, given)
    order = names
    if {*names} != {*found}:
        order = found
        pairs = first_names(
            [f"{old} → {new}" for old, new in zip(found, names, strict=True)], classes
        )
        listing.warnings.append(f"{folder}: data.class_names gives new names: {pairs}")
    paths = listing.rows.pop("path")
    stored = pd.concat(_parallel(_stored, [paths]), ignore_index=True)
    rows = pd.concat([listing.rows, stored], axis=1).assign(name=listing.rows["file"])
    rows["label"] = rows["label"].map({name: label for label, name in enumerate(order)})
    parts = {"train": "train", "official_test": "test"}
    counts = {key: int((rows["part"] == part).sum()) for key, part in parts.items()}
    source = {"file": str(folder), "pictures": True}
    found_in = {key: {**source, "rows": count} for key, count in counts.items() if count}
    return _Raw(rows, [paths], found_in, names, listing.warnings)


def _read_arrays(folder: Path, scratch: Path) -> _Raw:
    with writing_to(scratch):
        raw = read_raw(folder, scratch)
    return _arrays(folder, raw, sources(folder, raw))


def _arrays(folder: Path, raw: RawData, files: dict[str, Any] | None = None) -> _Raw:
    """`files` says from which file each part is; without, they are from the whole folder."""
    parts = {"train": raw.train} | ({"test": raw.test} if raw.test else {})
    found = files or {
        name: {"file": str(folder), "rows": len(data)}
        for name, data in zip(("train", "official_test"), parts.values(), strict=False)
    }
    of_parts = []
    for (name, data), source in zip(parts.items(), found.values(), strict=True):
        height, width, *channels = data.images.shape[1:]
        stored = {"height": height, "width": width, "mode": "colour" if channels else "grey"}
        label = {"part": name, "label": data.labels, "file": source["file"]}
        of_parts.append(pd.DataFrame(label | stored))
    images = [data.images for data in parts.values()]
    return _Raw(pd.concat(of_parts, ignore_index=True), images, found)


def _class_names(
    folder: Path, found: list[str], classes: int, given: list[str] | None
) -> list[str]:
    """The names in params.yaml, else those found, if they are as many as params.yaml says."""
    listed = {*(given or [])}
    alike = differ_in_case({*found, *listed})
    if not {*alike} <= listed:
        mend = "spell each in one way, or list both in data.class_names"
        raise DataError(f"{folder}: {first_names(alike, SHOWN)} differ only in case; {mend}")
    first = first_names(found, SHOWN)
    if len(found) != classes:
        mend = f"set it to {len(found)}" if len(found) > 1 else "at least two are needed"
        said = f"{len(found)} classes ({first}), data.classes is {classes}"
        raise DataError(f"{folder}: {said}; {mend}")
    others = sorted(listed - {*found})
    if given and 0 < len(others) < len(found):
        mend = "name all classes as there, or none"
        raise DataError(f"{folder}: {first}; no {', '.join(others)} of data.class_names; {mend}")
    return given or found


def _in_chunks(items: "pd.Series[bytes] | Images") -> Iterator[Items]:
    for start in range(0, len(items), CHUNK):
        chunk = items[start : start + CHUNK]
        yield chunk if isinstance(chunk, np.ndarray) else chunk.tolist()


def _stored(paths: Sequence[bytes]) -> pd.DataFrame:
    """Height, width and mode of each picture, by its head; missing if it has none."""
    found: list[tuple[float, float, str | None]] = []
    for path in paths:
        try:
            height, width, colour = probe(Path(os.fsdecode(path)))
            found.append((height, width, "colour" if colour else "grey"))
        except DataError:  # which `_bring` says
            found.append((np.nan, np.nan, None))
    types: dict[str, Any] = {"height": float, "width": float, "mode": "str"}
    return pd.DataFrame(found, columns=[*types]).astype(types)


def _shape(folder: Path, rows: pd.DataFrame, image: ImageParams) -> Shape:
    known = rows.loc[rows["mode"].notna(), ["height", "width", "mode"]]
    if known.empty:
        raise DataError(f"{folder}: none of {len(rows):,} pictures can be read")
    colour = image.channels == "rgb" or (image.channels == "auto" and "colour" in {*known["mode"]})
    if colour and image.fit == "digit":
        mend = "set channels: grey, or another fit"
        raise DataError(f"{folder}: has colour, data.image.fit is digit; {mend}")
    size: Any = image.size
    if size == "auto":
        sizes = Counter(zip(known["height"].astype(int), known["width"].astype(int), strict=True))
        if len(sizes) > 1:
            most = ", ".join(f"{h}×{w}: {n}" for (h, w), n in sizes.most_common(SHOWN))
            found = f"pictures of {len(sizes)} sizes ({most}{', …' * (len(sizes) > SHOWN)})"
            raise DataError(f"{folder}: {found}; set data.image.size: [height, width]")
        [size] = sizes
    return (*map(int, size), *([3] if colour else []))


def _bring(items: Items, shape: Shape, fit: Fit) -> tuple[Images, pd.DataFrame]:
    """Images in this shape, and what is known of them."""
    if isinstance(items, np.ndarray) and items.shape[1:] == shape:
        table = describe(items).assign(fault=pd.Series(dtype="str"))
        return items, table.assign(**{SOURCE_HASH: table["hash"]})
    images, faults = np.zeros((len(items), *shape), np.uint8), np.full(len(items), None, object)
    hashes = fingerprints(items) if isinstance(items, np.ndarray) else faults.tolist()
    for k, item in enumerate(items):
        try:
            if isinstance(item, bytes):
                path = Path(os.fsdecode(item))
                images[k], hashes[k] = read_and_hash(path, shape=shape, fit=fit)
            else:
                images[k], _ = convert_picture(Image.fromarray(item), shape=shape, fit=fit)
        except DataError as error:
            faults[k] = str(error)
    table = describe(images).assign(fault=pd.array(faults, dtype="str"))
    table[SOURCE_HASH] = pd.Series(hashes, dtype=BYTES)
    of_pixels = ["mean_ink", "contrast"]  # which would call it blank, too
    table[of_pixels] = table[of_pixels].where(table["fault"].isna())
    return images, table


def _parallel(
    work: Callable[..., Any], items: Sequence["pd.Series[bytes] | Images"], *given: Any
) -> Iterator[Any]:
    """What the work finds in each chunk, in order; with all cores, and a bar in a terminal."""
    few = sum(map(len, items)) < FEW or isinstance(items[0], np.ndarray)
    pool = Parallel(n_jobs=1 if few else -1, return_as="generator")
    found = pool(delayed(work)(chunk, *given) for each in items for chunk in _in_chunks(each))
    bar = Console(stderr=True, quiet=few or not sys.stderr.isatty())
    chunks = sum(-(-len(each) // CHUNK) for each in items)
    return iter(track(found, "images read", chunks, console=bar))
