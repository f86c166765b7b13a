"""Read raw labelled images as published: IDX pairs, Keras's npz, the CSV of Kaggle's Recognizer."""

from math import prod
from pathlib import Path

from imageproof.base.errors import DataError
from imageproof.data.readers._cells import read_labelled
from imageproof.data.readers._contents import Content, Part, format_of, read_content
from imageproof.data.readers._idx import read_idx
from imageproof.data.readers._npz import read_npz
from imageproof.data.readers._versioned import is_hidden, list_files
from imageproof.data.readers.corrections import FILE as CORRECTIONS
from imageproof.pictures._reading import is_picture


def read_parts(folder: Path, scratch: Path | None = None) -> list[Part]:
    """Read the only data set in a folder: its training part, and its test part if it has one.

    Images of any size, in the order of the file, are mapped into memory, unless they are those of
    a CSV. Packed files are unpacked into the folder `scratch`, or that of temporary files, and
    these are deleted while they are mapped.

    These formats are recognised by content, whatever the files are called, gzipped or not:
    IDX pairs (`t10k-…` or `test-…` is the official test part), Kaggle's CSV `label,pixel0,…`,
    and an npz as of Keras. Hidden files, subfolders, corrections of labels, and what
    DVC does not version are ignored.
    """
    paths = _data_files(folder)
    contents = {path: read_content(path, scratch) for path in paths}
    if not contents:
        raise DataError(f"{folder}: no data files found; `dvc pull` fetches the data")
    parts = _read(folder, contents, scratch)
    shapes = [part.data.images.shape for part in parts]
    if not all(map(prod, shapes)) or len({shape[1:] for shape in shapes}) > 1:
        sizes = ["×".join(map(str, shape)) for shape in shapes]
        raise DataError(
            f"{folder}: images {' and '.join(sizes)}; no part may be empty, and all have one size"
        )
    return parts


def _data_files(folder: Path) -> list[Path]:
    names = [name for name in list_files(folder).versioned if "/" not in name]
    paths = [folder / name for name in names if name != CORRECTIONS and not is_hidden(name)]
    if any(is_picture(path.name) for path in paths):
        raise DataError(
            f"{folder}: has pictures without a class; "
            "put each into the folder of its class, or name them in labels.csv"
        )
    return paths


def _read(folder: Path, contents: dict[Path, Content], scratch: Path | None) -> list[Part]:
    formats = {format_of(content) for content in contents.values()}
    if formats == {"IDX"}:
        return read_idx(folder, contents)
    if len(contents) > 1:
        names = ", ".join(path.name for path in contents)
        raise DataError(
            f"{folder}: has these data sets: {names}; "
            "one is allowed: IDX pairs, a CSV label,pixel0,pixel1,… or a Keras npz"
        )

    [(path, content)] = contents.items()
    if formats == {"npz"}:
        return read_npz(path, content, scratch)
    return [Part(path, read_labelled(path, content))]
