"""Kaggle's CSV: what is read, and one line for everything that is not."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import read_raw, refusal
from sklearn.datasets import load_digits

IMAGES = load_digits().images[:20].astype(np.uint8)
LABELS = load_digits().target[:20].astype(np.int64)
PIXELS = [f"pixel{i}" for i in range(64)]


@pytest.fixture
def frame() -> pd.DataFrame:
    """The 8×8 images as Kaggle would publish them, cells as text so that any can be spoilt."""
    cells = np.column_stack([LABELS, IMAGES.reshape(20, 64)])
    return pd.DataFrame(cells.astype(str), columns=["label", *PIXELS], dtype=object)


def write(folder: Path, frame: pd.DataFrame, **options: object) -> Path:
    path = folder / "train.csv"
    frame.to_csv(path, **{"index": False, "na_rep": "", **options})  # type: ignore[arg-type]
    return path


def test_images_and_labels_are_read_in_file_order(tmp_path: Path, frame: pd.DataFrame) -> None:
    write(tmp_path, frame)
    train, test = read_raw(tmp_path)
    assert test is None
    assert (train.images.dtype, train.labels.dtype) == (np.uint8, np.int64)
    np.testing.assert_array_equal(train.images, IMAGES)
    np.testing.assert_array_equal(train.labels, LABELS)


@pytest.mark.parametrize(
    "dress",
    [
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: text.replace(b"label", b'"label"').replace(b"pixel0", b'"pixel0"'),
        gzip.compress,
    ],
    ids=["BOM", "quoted header, as R writes it", "gzip"],
)
def test_the_dress_of_the_text_changes_nothing(tmp_path: Path, frame, dress) -> None:
    path = write(tmp_path, frame)
    path.write_bytes(dress(path.read_bytes()))
    train = read_raw(tmp_path).train
    np.testing.assert_array_equal(train.images, IMAGES)
    np.testing.assert_array_equal(train.labels, LABELS)


@pytest.mark.parametrize("side", [1, 300])
def test_any_square_image_size_is_read(tmp_path: Path, side: int) -> None:
    image = np.arange(side * side) % 251
    header = ",".join(["label", *(f"pixel{i}" for i in range(side * side))])
    row = ",".join(map(str, [200, *image]))
    (tmp_path / "train.csv").write_text(f"{header}\n{row}\n{row}\n")
    train = read_raw(tmp_path).train
    np.testing.assert_array_equal(train.images, [image.reshape(side, side)] * 2)
    assert train.labels.tolist() == [200, 200]


def test_files_longer_than_a_block_keep_their_order(tmp_path: Path) -> None:
    rows = [f"{i % 10},{i % 256}" for i in range(400_000)]
    (tmp_path / "train.csv").write_text("\n".join(["label,pixel0", *rows, ""]))
    train = read_raw(tmp_path).train
    np.testing.assert_array_equal(train.images[:, 0, 0], np.arange(400_000) % 256)
    np.testing.assert_array_equal(train.labels, np.arange(400_000) % 10)


@pytest.mark.parametrize("column", ["label", "pixel63"])
@pytest.mark.parametrize("value", ["256", "-1", "3.5", ""])
def test_a_bad_cell_is_named_by_row_and_value(
    tmp_path: Path, frame: pd.DataFrame, column: str, value: str
) -> None:
    frame.loc[3, column] = value
    path = write(tmp_path, frame)
    line = refusal(tmp_path)
    assert line.startswith(f"{path}: In CSV column #{64 * (column != 'label')}: Row #5: ")
    assert line.endswith(f"invalid value '{value}'; whole numbers 0..255 are allowed")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["label", *PIXELS[1:], "pixel64"], "65 columns 'label, pixel1, pixel2, "),
        (["label", *PIXELS[:63]], "64 columns 'label, pixel0, "),
        (["label", *PIXELS, "source"], "66 columns 'label, pixel0, "),
        (["5", *(["0"] * 64)], "65 columns '5, 0, 0, "),
    ],
)
def test_another_header_is_refused(tmp_path: Path, names: list[str], message: str) -> None:
    path = tmp_path / "train.csv"
    path.write_text(",".join(names) + "\n" + ",".join("0" for _ in names) + "\n")
    assert refusal(tmp_path).startswith(f"{path}:1: {message}")


def test_a_header_without_rows_is_refused(tmp_path: Path, frame: pd.DataFrame) -> None:
    write(tmp_path, frame.head(0))
    assert refusal(tmp_path).startswith(f"{tmp_path}: images 0×8×8; no part may be empty")


HEAD = b"label,pixel0,pixel1,pixel2,pixel3\n"
GOOD = {
    "a last line without an end": b"7,0,1,2,255",
    "CRLF": b"7,0,1,2,255\r\n",
    "CR": b"7,0,1,2,255\r",
    "blank lines": b"\n\n7,0,1,2,255\n\n",
    "quoted cells": b'"7","0","1","2","255"\n',
    "leading zeros": b"07,0,001,2,255\n",
    "spaces": b" 7, 0 ,1 , 2,255 \n",
    "tabs": b"7\t,\t0,1,2,255\n",
}
CELLS = [  # none is a whole number 0…255 in decimal
    *("0x10", "0X1F", "0x", "x", "0xg", "0x100", "&H10", "10h", "0b1", "0o7", "1_0", "1e2", "1E2"),
    *("+5", "-5", "-0", "--5", "256", "1000", "1e999", "5.0", "5.", ".5", "5,5", "1 000", "1'000"),
    *("nan", "NaN", "NA", "null", "None", "inf", "-inf", "", " ", "true", "FALSE", "five", "#5"),
    *("5;", "5%", "=5", "'5'", '"5""', "٥", "５", "\u00a05", "5\u200b", "½", "5\0", "\ufeff5", "⁵"),
]


@pytest.mark.parametrize("rows", GOOD.values(), ids=GOOD)
def test_good_rows(tmp_path: Path, rows: bytes) -> None:
    (tmp_path / "train.csv").write_bytes(HEAD + rows)
    train = read_raw(tmp_path).train
    assert (train.labels.tolist(), train.images.tolist()) == ([7], [[[0, 1], [2, 255]]])


@pytest.mark.parametrize("cell", CELLS)
def test_malformed_cell_is_refused(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "train.csv"
    for row in (f"{cell},0,1,2,255", f"7,0,1,2,{cell}"):
        path.write_bytes(HEAD + f"7,0,1,2,255\n{row}\n7,0,1,2,255\n".encode())
        assert refusal(tmp_path).startswith(str(path))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_hexadecimal_cell_is_named_by_line(tmp_path: Path, end: str) -> None:
    path = tmp_path / "train.csv"
    rows = [HEAD.decode().strip(), "7,0,1,2,255", "0X1F,0,1,2,255", ""]
    path.write_bytes(end.join(rows).encode())
    assert refusal(tmp_path) == f"{path}:3: a value has an x; whole numbers 0..255 are allowed"


@pytest.mark.parametrize("rows", [b"7,0,1,2", b"7,0,1,2,3,4", b"7,0,1,2,3,", b"7;0;1;2;3", b"{}"])
def test_row_of_other_length_is_refused(tmp_path: Path, rows: bytes) -> None:
    path = tmp_path / "train.csv"
    path.write_bytes(HEAD + b"7,0,1,2,255\n" + rows + b"\n")
    assert refusal(tmp_path).startswith(str(path))
