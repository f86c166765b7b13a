"""The images of a folder, as they are found: pictures, arrays, or those of a project's reader."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from joblib import Parallel, delayed  # type: ignore[import-untyped]

from imageproof.base._dataset import Images, RawData
from imageproof.base.errors import DataError
from imageproof.base.files import writing_to
from imageproof.base.text import first_names
from imageproof.data._class_names import check_names, in_order
from imageproof.data.readers._contents import Part
from imageproof.data.readers._folders import Listing, list_pictures
from imageproof.data.readers._npz import as_dataset
from imageproof.data.readers._raw import read_parts
from imageproof.pictures._reading import Header, probe

CHUNK = 250  # images that a process takes at a time, at most
MIN_CHUNKS = 40  # so that no process waits long for the last one
FEW_BYTES = 5_000_000  # of pictures, for which processes take longer to start than they save

Items = Images | pd.Series  # images, or paths of pictures


class Source(NamedTuple):
    """Images as found, and what is known of them.

    `rows` has part, label, file, height, width, mode and `transparent` (bool) of each, and of
    pictures name and `meta_…`; `items`, paths of pictures or arrays, are together one for each row.
    """

    rows: pd.DataFrame
    items: Sequence[Items]
    class_names: list[str] | None = None
    warnings: Sequence[str] = ()


def find_images(
    folder: Path,
    scratch: Path,
    classes: int,
    class_names: list[str] | None,
    read: Callable[[Path], RawData] | None,
) -> Source:
    """All images in a folder; an npz is unpacked into `scratch`."""
    if read:
        parts = {name: data for name, data in read(folder)._asdict().items() if data is not None}
        datasets = [
            Part(folder, as_dataset(folder, part, data.images, data.labels))
            for part, data in parts.items()
        ]
        if any(data.groups is not None for data in parts.values()):
            fault = "groups of the project's own reader: none are taken; divide by them in `split`"
            raise DataError(f"{folder}: {fault}")
        return from_arrays(datasets)
    listing = list_pictures(folder)
    if listing:
        return _pictures(folder, listing, classes, class_names)
    with writing_to(scratch):
        return from_arrays(read_parts(folder, scratch))


def in_chunks(work: Callable[..., Any], items: Sequence[Items], *arguments: Any) -> Iterator[Any]:
    """The result of the work on each chunk, in order; of many pictures on all cores."""
    size = min(CHUNK, sum(map(len, items)) // MIN_CHUNKS + 1)
    chunks = [
        values[start : start + size] for values in items for start in range(0, len(values), size)
    ]
    is_short = (
        isinstance(items[0], np.ndarray)
        or sum(os.lstat(path).st_size for path in items[0]) <= FEW_BYTES
    )
    pool = Parallel(n_jobs=1 if is_short else -1, return_as="generator")
    return iter(pool(delayed(work)(chunk, *arguments) for chunk in chunks))


def from_arrays(parts: Sequence[Part]) -> Source:
    """The images of a training part and, if there is one, of a test part."""
    tables = []
    for name, (file, data) in zip(("train", "test"), parts, strict=False):
        height, width, *channels = data.images.shape[1:]
        columns = {
            "part": name,
            "label": data.labels,
            "file": str(file),
            "height": height,
            "width": width,
            "mode": "colour" if channels else "grey",
            "transparent": False,
        }
        tables.append(pd.DataFrame(columns))
    rows = pd.concat(tables, ignore_index=True)
    return Source(rows, [part.data.images for part in parts])


def describe_parts(folder: Path, source: Source) -> dict[str, dict[str, Any]]:
    """The `file` of each part, of pictures the folder."""
    parts = {}
    for part, files in source.rows.groupby("part", sort=False)["file"]:
        pictures = {"file": str(folder), "pictures": True} if source.class_names else {}
        parts[str(part)] = {"file": files.iloc[0], **pictures}
    return parts


def _pictures(
    folder: Path,
    listing: Listing,
    classes: int,
    class_names: list[str] | None,
) -> Source:
    warnings = [*listing.warnings]
    labels = in_order([*listing.rows["label"].unique()])
    check_names(folder, labels, classes, class_names)
    names = class_names or labels
    if {*names} == {*labels}:
        labels = names
    else:
        pairs = [f"{label} → {name}" for label, name in zip(labels, names, strict=True)]
        warnings.append(
            f"{folder}: data.class_names gives new names: {first_names(pairs, classes)}"
        )

    paths = listing.rows.pop("path")
    headers = pd.concat(in_chunks(read_headers, [paths]), ignore_index=True)
    rows = pd.concat([listing.rows, headers], axis=1).assign(name=listing.rows["file"])
    rows["label"] = rows["label"].map({label: number for number, label in enumerate(labels)})
    return Source(rows, [paths], names, warnings)


def read_headers(paths: Iterable[bytes]) -> pd.DataFrame:
    """Height, width, mode and transparency of each picture; missing if it has no header."""
    headers: list[tuple[float, float, str | None, bool]] = []
    for path in paths:
        try:
            headers.append(probe(Path(os.fsdecode(path))))
        except DataError:  # which the reading of its pixels reports
            headers.append((np.nan, np.nan, None, False))
    table = pd.DataFrame(headers, columns=Header._fields)
    return table.astype({"height": float, "width": float, "mode": "str"})
