"""Read raw labelled images as published: IDX pairs, Kaggle CSV, Keras npz, told by content."""

import logging
from collections.abc import Sequence
from pathlib import Path

from digits.core.dataset import Dataset, RawData
from digits.core.errors import DataError, printable
from digits.data.readers.csv import read_csv, unlabelled
from digits.data.readers.files import Format, data_files, format_of
from digits.data.readers.idx import read_idx
from digits.data.readers.npz import read_npz

logger = logging.getLogger(__name__)


def read_raw(folder: Path) -> RawData:
    """Read the one data set that lies in a folder.

    Looks at the files directly in `folder` (hidden ones aside) and tells each by its content,
    gzipped or not: IDX pairs (`t10k-…` or `test-…` is the official test part), a Kaggle
    `label,pixel0,…` CSV, a Keras `mnist.npz`. Kaggle's files without labels are left out with
    a log warning. Images come back as uint8 (n, height, width), labels as int64 (n,), of any
    image size and in the order of the file; whether a label is one of the classes is not
    judged here.

    Raises:
        DataError: nothing or more than one data set is there, or a file is not what it must
            be; one finding per fault.
    """
    found = _told_apart(folder)
    idx = found.pop("IDX", [])
    csv = _labelled(found.pop("CSV", []))
    npz = found.pop("npz", [])
    if bool(idx) + len(csv) + len(npz) > 1:
        names = ", ".join(path.name for path in [*idx, *csv, *npz])
        raise DataError(f"{folder}: holds more than one data set ({names}); keep one")
    if idx:
        return _checked(folder, read_idx(folder, idx))
    if csv:
        return _checked(csv[0], RawData(read_csv(csv[0]), None))
    return _checked(npz[0], read_npz(npz[0]))


def _told_apart(folder: Path) -> dict[Format, list[Path]]:
    """The files of each format; every file that has none is a finding."""
    found: dict[Format, list[Path]] = {}
    findings: list[str] = []
    for path in data_files(folder):
        try:
            found.setdefault(format_of(path), []).append(path)
        except DataError as error:
            findings.extend(error.findings)
    if findings:
        raise DataError(*findings)
    return found


def _labelled(paths: Sequence[Path]) -> list[Path]:
    """The CSV files to learn from: Kaggle's test and sample files beside them have no labels."""
    without = [path for path in paths if unlabelled(path)]
    labelled = [path for path in paths if path not in without]
    if without and not labelled:
        raise DataError(
            *(
                f"{path}:1: column label is missing; label,pixel0,pixel1,… is needed"
                for path in without
            )
        )
    for path in without:
        left_out = printable(str(path))
        logger.warning("%s: left out, only rows with a label and pixels are read", left_out)
    return labelled


def _checked(where: Path, raw: RawData) -> RawData:
    """Refuse what no format allows: no images, or two parts of different image size."""
    for part, data in zip(("training", "test"), raw, strict=True):
        if data is not None and not data.images.size:
            raise DataError(f"{where}: the {part} part holds no images; at least one is needed")
    if raw.test is not None and _size(raw.test) != _size(raw.train):
        raise DataError(
            f"{where}: training images are {_size(raw.train)} pixels, test images"
            f" {_size(raw.test)}; both must have one size"
        )
    return raw


def _size(data: Dataset) -> str:
    _, height, width = data.images.shape
    return f"{height}×{width}"
