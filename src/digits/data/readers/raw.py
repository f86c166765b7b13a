"""Read raw labelled images as published: IDX pairs, Kaggle CSV or Keras npz."""

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
    """Read the only data set in a folder.

    These formats are recognised by content, whatever the files are called, gzipped or not:
    IDX pairs (`t10k-…` or `test-…` is the official test part), Kaggle's CSV `label,pixel0,…`,
    and Keras's `mnist.npz`. Hidden files and subfolders are ignored. Kaggle's files without
    labels are left out with a log warning.

    Returns:
        Images uint8 (n, height, width) of any size and labels int64 (n,), in the order of the
        file. Whether a label is one of the classes is not checked here.

    Raises:
        DataError: there is no data set or more than one, or a file is damaged; one finding per
            fault.
    """
    files = _by_format(folder)
    idx, npz = files.get("IDX", []), files.get("npz", [])
    csv = _labelled(files.get("CSV", []))
    if bool(idx) + len(csv) + len(npz) > 1:
        names = ", ".join(path.name for path in [*idx, *csv, *npz])
        raise DataError(f"{folder}: holds more than one data set ({names}); keep one")
    if idx:
        return _check_sizes(folder, read_idx(folder, idx))
    if csv:
        return _check_sizes(csv[0], RawData(read_csv(csv[0]), None))
    return _check_sizes(npz[0], read_npz(npz[0]))


def _by_format(folder: Path) -> dict[Format, list[Path]]:
    """The files of each format; every file of another format is a finding."""
    files: dict[Format, list[Path]] = {}
    findings: list[str] = []
    for path in data_files(folder):
        try:
            files.setdefault(format_of(path), []).append(path)
        except DataError as error:
            findings.extend(error.findings)
    if findings:
        raise DataError(*findings)
    return files


def _labelled(paths: Sequence[Path]) -> list[Path]:
    """The CSV files with labels, without Kaggle's test and sample files."""
    without_labels = [path for path in paths if unlabelled(path)]
    labelled = [path for path in paths if path not in without_labels]
    if without_labels and not labelled:
        fault = "column label is missing; label,pixel0,pixel1,… is needed"
        raise DataError(*(f"{path}:1: {fault}" for path in without_labels))
    for path in without_labels:
        name = printable(str(path))
        logger.warning("%s: left out, only rows with a label and pixels are read", name)
    return labelled


def _check_sizes(where: Path, raw: RawData) -> RawData:
    """Refuse a part without images, and two parts with different image sizes."""
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
