"""Labelled images in memory: what the stages hand to each other, and how they lie on disk."""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from digits.errors import DataError

Images = NDArray[np.uint8]  # (n, height, width), grey values 0…255
Labels = NDArray[np.int64]  # (n,)
Probabilities = NDArray[np.float32]  # (n, classes), each row sums to 1
Predict = Callable[[Images], Probabilities]
Matrix = NDArray[np.int64]  # (classes, classes), rows = prediction, columns = reference
Picture = Literal["digit", "plain"]  # how a picture of another form becomes an image


class DataParams(BaseModel):
    """`data:` in params.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    percent: Annotated[float, Field(gt=0, le=100)]
    classes: Annotated[int, Field(ge=2)]
    class_names: list[str] | None = None
    picture: Picture

    @model_validator(mode="after")
    def _one_name_per_class(self) -> "DataParams":
        names = self.class_names
        if names is None:
            return self
        if len(names) != self.classes:
            raise ValueError(f"class_names has {len(names)} names for {self.classes} classes")
        bare = [name.strip() for name in names]  # as a confusion matrix is read
        if again := next((name for name in bare if bare.count(name) > 1), None):
            raise ValueError(
                f"class_names has {again!r} {bare.count(again)} times; once is allowed"
            )
        return self

    @property
    def names(self) -> list[str]:
        """One name per class, the class number where the user gave none."""
        return self.class_names or [str(label) for label in range(self.classes)]


@dataclass(frozen=True, eq=False, slots=True)
class Dataset:
    """Images uint8 (n, height, width) with labels int64 (n,)."""

    images: Images
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[np.int64]) -> "Dataset":
        """The given rows, in the given order."""
        return Dataset(self.images[rows], self.labels[rows])


class RawData(NamedTuple):
    """Raw data as published: rows to train on, and the official test part if there is one."""

    train: Dataset
    test: Dataset | None


class Split(NamedTuple):
    """One split as stored: the data set, and each row's place in the raw data.

    `rows` int64 (n,): index into the training part; rows of the official test part
    continue the count after its last row.
    """

    data: Dataset
    rows: NDArray[np.int64]


def save_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays as a compressed npz, whose bytes depend on the arrays alone (no dates)."""
    np.savez_compressed(path, allow_pickle=False, **arrays)


def save_split(path: Path, split: Split) -> None:
    """Write a split; see `save_arrays` and `load_split`."""
    data, rows = split
    save_arrays(path, {"images": data.images, "labels": data.labels, "rows": rows})


def load_split(path: Path) -> Split:
    """Read a split that the `split` stage wrote.

    Raises:
        DataError: the file is missing or not such a split.
    """
    try:
        # opened here, because NumPy leaves a file open that it cannot read
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return Split(Dataset(arrays["images"], arrays["labels"]), arrays["rows"])
    except FileNotFoundError:
        raise DataError(f"{path}: not found; `dvc repro split` makes it") from None
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error) as error:
        raise DataError(
            f"{path}: not a split file ({error}); `dvc repro -f split` makes it anew"
        ) from None
