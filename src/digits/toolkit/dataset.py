"""Labelled images in memory and on disk, as the stages pass them on."""

import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from os import SEEK_END
from pathlib import Path
from typing import IO, Annotated, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from digits.toolkit.errors import DataError
from digits.toolkit.files import StrictModel, reading_as, replacing

Images = NDArray[np.uint8]  # (n, height, width), grey values 0…255
Labels = NDArray[np.int64]  # (n,)
Probabilities = NDArray[np.float32]  # (n, classes), each row sums to 1
Predict = Callable[[Images], Probabilities]
Matrix = NDArray[np.int64]  # (classes, classes), rows = prediction, columns = reference

# Limits against zip bombs: deflate packs up to 1,000 to 1, images of handwriting about 10 to 1.
MAX_UNPACKED = 256 << 20  # bytes; smaller contents may have any ratio
MAX_RATIO = 50
Picture = Literal["digit", "plain"]  # how a picture of another size becomes an input image


class DataParams(StrictModel):
    """`data:` in params.yaml."""

    percent: Annotated[float, Field(gt=0, le=100)]
    classes: Annotated[int, Field(ge=2, le=10_000)]
    class_names: list[Annotated[str, Field(min_length=1, max_length=100)]] | None = None
    picture: Picture

    @model_validator(mode="after")
    def _one_name_per_class(self) -> "DataParams":
        if self.class_names is None:
            return self
        names = [name.strip() for name in self.class_names]  # as a confusion matrix is read
        if len(names) != self.classes or len({*names}) < len(names):
            raise ValueError(f"class_names must be {self.classes} different names")
        return self

    @property
    def names(self) -> list[str]:
        """One name per class; the class numbers if params.yaml names none."""
        return self.class_names or [str(label) for label in range(self.classes)]


@dataclass(frozen=True, eq=False, slots=True)
class Dataset:
    """Images uint8 (n, height, width) with labels int64 (n,)."""

    images: Images
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[np.int64]) -> "Dataset":
        return Dataset(self.images[rows], self.labels[rows])


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
    rows: NDArray[np.int64]


def fingerprints(images: Images) -> list[bytes]:
    """One 16-byte hash (BLAKE2b) per image (n, height, width): equal pixels, equal hash."""
    flat = np.ascontiguousarray(images).reshape(len(images), -1)
    return [blake2b(image.data, digest_size=16).digest() for image in flat]


def save_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays atomically as a compressed npz; equal arrays give equal bytes (no dates)."""
    with replacing(path) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **arrays)


def save_split(path: Path, split: Split) -> None:
    data, rows = split
    save_arrays(path, {"images": data.images, "labels": data.labels, "rows": rows})


def load_arrays(file: IO[bytes]) -> dict[str, NDArray[Any]]:
    """All arrays of an npz, never unpickled; a ValueError if it is damaged, too large or no npz."""
    try:
        with zipfile.ZipFile(file) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
        check_unpacked(unpacked, packed=file.seek(0, SEEK_END))
        file.seek(0)
        with np.load(file, allow_pickle=False) as arrays:
            loaded = {name: arrays[name] for name in arrays.files}
    except Exception as error:  # NumPy and zipfile raise a dozen types for damaged files
        raise ValueError(str(error) or type(error).__name__) from None
    if not all(isinstance(array, np.ndarray) for array in loaded.values()):
        raise ValueError("holds other files than arrays")
    return loaded


def check_unpacked(unpacked: int, *, packed: int) -> None:
    """Raise a ValueError for a zip bomb: more unpacked bytes than the limits above allow."""
    if unpacked > max(MAX_UNPACKED, MAX_RATIO * packed):
        limits = f"{MAX_UNPACKED >> 20} MB and {MAX_RATIO} times its size"
        raise ValueError(f"unpacks to over {limits}; unpack it by hand")


def load_split(path: Path) -> Split:
    """Read a split that the `split` stage wrote; a DataError if it is missing or damaged."""
    if not path.exists():
        raise DataError(f"{path}: not found; `dvc repro split` makes it")
    with reading_as("a split", path), path.open("rb") as file:
        arrays = load_arrays(file)
        expected = {"images": ("uint8", 3), "labels": ("int64", 1), "rows": ("int64", 1)}
        found = {name: (array.dtype.name, array.ndim) for name, array in arrays.items()}
        if found != expected or len({len(array) for array in arrays.values()}) > 1:
            raise ValueError("images uint8 (n, h, w), labels and rows int64 (n,) belong in it")
        if not arrays["images"].size or min(arrays["labels"].min(), arrays["rows"].min()) < 0:
            raise ValueError("no images, or a label or row number below 0")
    return Split(Dataset(arrays["images"], arrays["labels"]), arrays["rows"])
