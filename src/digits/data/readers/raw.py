"""Read raw labelled images as published: IDX pairs, Kaggle CSV or Keras npz."""

import logging
from math import prod
from pathlib import Path

from digits.core.dataset import RawData
from digits.core.errors import DataError, printable
from digits.data.readers.csv import UNLABELLED, header_of, read_csv
from digits.data.readers.files import Format, content_of, data_files, format_of
from digits.data.readers.idx import read_idx
from digits.data.readers.npz import read_npz

logger = logging.getLogger(__name__)


def read_raw(folder: Path) -> RawData:
    """Read the only data set in a folder: images of any size, in the order of the file.

    These formats are recognised by content, whatever the files are called, gzipped or not:
    IDX pairs (`t10k-…` or `test-…` is the official test part), Kaggle's CSV `label,pixel0,…`,
    and Keras's `mnist.npz`. Hidden files and subfolders are ignored. Kaggle's files without
    labels are left out with a log warning. Whether a label is a class is not checked here.

    Raises:
        DataError: there is no data set or more than one, or a file is damaged.
    """
    files: dict[Format, dict[Path, bytes]] = {"IDX": {}, "CSV": {}, "npz": {}}
    for path in data_files(folder):
        content = content_of(path)
        form = format_of(content)
        if form == "CSV" and header_of(content)[0] in UNLABELLED:
            logger.warning("%s: left out, it has no column label", printable(str(path)))
        else:
            files[form][path] = content
    idx, csv, npz = files["IDX"], files["CSV"], files["npz"]
    if bool(idx) + len(csv) + len(npz) != 1:
        names = ", ".join(path.name for path in [*idx, *csv, *npz]) or "none"
        allowed = "IDX pairs, a CSV label,pixel0,pixel1,… or a Keras npz"
        raise DataError(f"{folder}: has these data sets: {names}; one is allowed: {allowed}")
    if idx:
        raw = read_idx(folder, idx)
    elif npz:
        raw = read_npz(*npz.popitem())
    else:
        raw = RawData(read_csv(*csv.popitem()), None)
    shapes = [data.images.shape for data in raw if data is not None]
    if not all(map(prod, shapes)) or len({shape[1:] for shape in shapes}) > 1:
        found = " and ".join("×".join(map(str, shape)) for shape in shapes)
        raise DataError(f"{folder}: images {found}; no part may be empty, and all have one size")
    return raw
