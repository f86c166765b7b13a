"""Labelled images in memory and on disk, as the stages pass them on."""

import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from os import SEEK_CUR, SEEK_END
from pathlib import Path
from typing import IO, Annotated, Any, Literal, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray
from pydantic import Field, model_validator

from imageproof.base._class_names import ClassName
from imageproof.base.errors import DataError
from imageproof.base.files import StrictModel, parsing, replacing

Images = NDArray[np.uint8]  # (n, height, width) of grey, or (n, height, width, 3) of colour
Shape = tuple[int, ...]  # of one image: (height, width) or (height, width, 3)
Labels = NDArray[np.int64]  # (n,)
Rows = NDArray[np.int64]  # (n,), numbers of rows
Hits = NDArray[np.bool_]  # (n,): whether the prediction for a row is right
Probabilities = NDArray[np.float32]  # (n, classes), each row sums to 1
Predict = Callable[[Images], Probabilities]
Floats = NDArray[np.float64]  # of any shape
Metrics = dict[str, float]
Matrix = NDArray[np.int64]  # (classes, classes), rows = prediction, columns = reference

SPLITS = ("train", "validation", "test", "holdout")
FITTED_ON = ("train", "validation")
EVALUATED = ("test", "holdout")

# Limits against zip bombs: deflate packs up to 1,000 to 1, images of handwriting about 10 to 1.
MAX_UNPACKED = 256 << 20  # bytes; smaller contents may have any ratio
MAX_RATIO = 50
WRITTEN_AT_ONCE = 1000  # images
Side = Annotated[int, Field(ge=1, le=4096)]  # pixels
Fit = Literal["stretch", "crop", "pad", "digit"]  # how a picture of another size becomes an image


class ImageParams(StrictModel):
    """`data.image:` the form that every picture is brought to; see `pictures.convert_picture`.

    `auto` is the size that all pictures have, and colour where one of them has it.
    """

    size: Annotated[list[Side], Field(min_length=2, max_length=2)] | Literal["auto"]
    channels: Literal["auto", "grey", "rgb"]
    fit: Fit

    @model_validator(mode="after")
    def _handwriting_is_grey(self) -> "ImageParams":
        if self.fit == "digit" and self.channels == "rgb":
            raise ValueError("fit: digit is for grey; stretch, crop or pad is for rgb")
        return self


class DataParams(StrictModel):
    """`data:` in params.yaml."""

    percent: Annotated[float, Field(gt=0, le=100)]
    classes: Annotated[int, Field(ge=2, le=10_000)]
    class_names: list[ClassName] | None = None
    image: ImageParams

    @model_validator(mode="after")
    def _one_name_per_class(self) -> "DataParams":
        if self.class_names is None:
            return self
        names = {*self.class_names} - {""}
        if not len(names) == len(self.class_names) == self.classes:
            raise ValueError(f"class_names must be {self.classes} different names")
        return self


@dataclass(frozen=True, eq=False, slots=True)
class Dataset:
    """Images uint8 (n, height, width) or (n, height, width, 3) with labels int64 (n,).

    `groups` int64 (n,) numbers the group of each row, where `split.group` names a column.
    """

    images: Images
    labels: Labels
    groups: Rows | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Rows) -> "Dataset":
        """These rows, in their order."""
        groups = None if self.groups is None else self.groups[rows]
        return Dataset(self.images[rows], self.labels[rows], groups)


class RawData(NamedTuple):
    """Raw data as published: the training part, and the official test part if there is one."""

    train: Dataset
    test: Dataset | None


class Split(NamedTuple):
    """One split as stored: the data set, and the raw row that each image comes from.

    `rows` int64 (n,): index into the training part of the raw data; rows of the official test
    part are counted on from its end.
    """

    data: Dataset
    rows: Rows


def fingerprints(images: Images) -> list[bytes]:
    """One 16-byte hash (BLAKE2b) per image: equal pixels, equal hash."""
    return [blake2b(image.tobytes(), digest_size=16).digest() for image in images]


def save_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays atomically as a compressed npz; equal arrays give equal bytes (no dates)."""
    with replacing(path) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **arrays)


def save_split(
    path: Path,
    split: Split,
    *,
    picks: Rows | None = None,
) -> None:
    """Write a split as an npz whose images `load_split` maps into memory.

    `picks` are the rows of its data that belong to it; all without. The npz is not compressed, and
    written piece by piece: its images need not fit into memory.
    """
    data = split.data
    if picks is None:
        picks = np.arange(len(data))
    arrays = {"labels": data.labels[picks], "rows": split.rows}
    if data.groups is not None:
        arrays["groups"] = data.groups[picks]

    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        with archive.open(zipfile.ZipInfo("images.npy"), "w", force_zip64=True) as file:
            _write_images(file, data.images, picks)
        for name, values in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w") as file:
                npy.write_array(file, values, allow_pickle=False)


def load_arrays(file: IO[bytes]) -> dict[str, NDArray[Any]]:
    """All arrays of an npz, never unpickled; a ValueError if it is too large.

    NumPy and zipfile raise a dozen types for damaged files: call it within `parsing`.
    """
    with zipfile.ZipFile(file) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    check_unpacked(unpacked, packed=file.seek(0, SEEK_END))
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        return dict(arrays)


def check_unpacked(unpacked: int, *, packed: int) -> None:
    """Raise a ValueError for a zip bomb: more unpacked bytes than the limits above allow."""
    if unpacked > max(MAX_UNPACKED, MAX_RATIO * packed):
        limits = f"{MAX_UNPACKED >> 20} MB and {MAX_RATIO} times its size"
        raise ValueError(f"unpacks to over {limits}; unpack it by hand")


def load_split(path: Path) -> Split:
    """Read a split that the `split` stage wrote; a DataError if it is missing or damaged.

    Its images are mapped into memory: what is not looked at is not read.
    """
    if not path.exists():
        raise DataError(f"{path}: not found; `dvc repro split` makes it")
    with parsing("a split", path):
        with zipfile.ZipFile(path) as archive, path.open("rb") as file:
            arrays = {info.filename: _mapped(path, file, info) for info in archive.infolist()}
        images = arrays.pop("images.npy")
        check_shape(images.shape[1:])
        for array in arrays.values():
            if array.shape != (len(images),):
                raise ValueError("images (n, …) have labels, rows and groups (n,)")
            if not images.size or array.min() < 0:
                raise ValueError("no images, or a label or row number below 0")
        data = Dataset(images, arrays["labels.npy"], arrays.get("groups.npy"))
        return Split(data, arrays["rows.npy"])


def write_header(file: IO[bytes], shape: Shape) -> None:
    """Write what a .npy has before the bytes of its images (n, …)."""
    npy.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def check_shape(shape: Sequence[Any]) -> None:
    """Raise a ValueError if this is not the shape of an image."""
    match [*shape]:
        case [int(), int()] | [int(), int(), 3] if min(shape) > 0:
            return
    raise ValueError(f"{(*shape,)} is no image: (height, width) or (height, width, 3) is")


def _write_images(
    file: IO[bytes],
    images: Images,
    picks: Rows,
) -> None:
    """Write the picked images as an array of the format .npy."""
    write_header(file, (len(picks), *images.shape[1:]))
    for start in range(0, len(picks), WRITTEN_AT_ONCE):
        rows = picks[start : start + WRITTEN_AT_ONCE]
        file.write(images[rows].tobytes())


def _mapped(path: Path, file: IO[bytes], info: zipfile.ZipInfo) -> NDArray[Any]:
    """An array of an npz that is not compressed: a member of it is a .npy at an offset."""
    name = info.filename
    file.seek(info.header_offset + 26)  # its local header ends with the lengths of two texts
    lengths = struct.unpack("<HH", file.read(4))
    file.seek(sum(lengths), SEEK_CUR)
    if info.compress_type != zipfile.ZIP_STORED or npy.read_magic(file) != (1, 0):
        raise ValueError(f"{name} is compressed, or no array")
    shape, _, dtype = npy.read_array_header_1_0(file)
    kind = "uint8" if name == "images.npy" else "int64"
    if dtype.name != kind:  # a map of objects would be one of addresses
        raise ValueError(f"{name} is {dtype.name}; {kind} is needed")
    return np.asarray(np.memmap(path, dtype, "r", file.tell(), shape))
