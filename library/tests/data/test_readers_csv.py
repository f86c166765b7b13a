"""Kaggle's CSV: what is read, and one line for everything that is not."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from helpers import read_raw, refusal

from imageproof.data.readers import _cells

HEAD = b"label,pixel0,pixel1,pixel2,pixel3\n"
GOOD = {
    "as Kaggle writes it": HEAD + b"7,0,1,2,255\n",
    "BOM": b"\xef\xbb\xbf" + HEAD + b"7,0,1,2,255\n",
    "gzip": gzip.compress(HEAD + b"7,0,1,2,255\n"),
    "quoted header, as R writes it": HEAD.replace(b"label", b'"label"') + b"7,0,1,2,255\n",
    "a last line without an end": HEAD + b"7,0,1,2,255",
    "CRLF": HEAD + b"7,0,1,2,255\r\n",
    "CR": HEAD + b"7,0,1,2,255\r",
    "blank lines": HEAD + b"\n\n7,0,1,2,255\n\n",
    "quoted cells": HEAD + b'"7","0","1","2","255"\n',
    "leading zeros": HEAD + b"07,0,001,2,255\n",
    "spaces": HEAD + b" 7, 0 ,1 , 2,255 \n",
    "tabs": HEAD + b"7\t,\t0,1,2,255\n",
}
# none is a whole number 0…255 in decimal
CELLS = (
    "0x10 0X1F 0x x 0xg 0x100 &H10 10h 0b1 0o7 1_0 1e2 1E2 +5 -5 -0 --5 256 1000 1e999 5.0 5. .5 "
    "5,5 1'000 nan NaN NA null None inf -inf true FALSE five #5 5; 5% =5 '5' \"5\"\" ٥ ５ 5\u200b "
    "½ 5\0 \ufeff5 ⁵"
)

PATH = Path("data/train.csv")


@pytest.fixture(autouse=True)
def data(workspace):
    PATH.parent.mkdir()


@pytest.mark.parametrize("content", GOOD.values(), ids=GOOD)
def test_good_file(content):
    PATH.write_bytes(content)
    train, test = read_raw()
    assert test is None
    assert (train.images.dtype, train.labels.dtype) == (np.uint8, np.int64)
    assert (train.labels.tolist(), train.images.tolist()) == ([7], [[[0, 1], [2, 255]]])


def test_images_of_a_file_longer_than_a_block_keep_their_order(monkeypatch):
    monkeypatch.setattr(_cells, "BLOCK_BYTES", 100)
    PATH.write_bytes(HEAD + b"".join(b"%d,0,1,2,%d\n" % (n, n) for n in range(250)))
    train = read_raw().train
    assert train.labels.tolist() == train.images[:, 1, 1].tolist() == [*range(250)]


@pytest.mark.parametrize("cell", [*CELLS.split(" "), "", " ", "1 000", "\u00a05", "3,4", "3,"])
def test_malformed_cell_is_refused(cell):
    for row in (f"{cell},0,1,2,255", f"7,0,1,2,{cell}", "7,0,1,2"):
        PATH.write_bytes(HEAD + f"7,0,1,2,255\n{row}\n7,0,1,2,255\n".encode())
        assert refusal().startswith(str(PATH))


@pytest.mark.parametrize("cell", ["3.5", "0X1F"])
def test_a_bad_cell_is_named_by_row_and_value(cell):
    PATH.write_bytes(HEAD + b"7,0,1,2,255\n7,0,1,2," + cell.encode())
    line = refusal()
    assert line.startswith("data/train.csv: In CSV column #4: Row #3: ")
    assert line.endswith(f"invalid value '{cell}'; whole numbers 0..255 are allowed")


@pytest.mark.parametrize("row", ['"7"7,0,1,2,255\n', '7,0,1,2,"1'])
def test_malformed_quotes_are_named_by_line(row):
    PATH.write_bytes(HEAD + b'7,0,1,2,"255"\n' + row.encode())
    assert refusal().startswith("data/train.csv:3: the row that begins here is no CSV: ")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("", "1 columns '' in the header; label,pixel0,pixel1,… of a square image is allowed"),
        ("label,pixel1,pixel2,pixel3,pixel4", "5 columns 'label, pixel1, pixel2, "),
    ],
)
def test_another_header_is_refused(header, message):
    PATH.write_text(header)
    assert refusal().startswith(f"data/train.csv:1: {message}")


def test_header_with_a_quote_within_a_name_is_refused():
    PATH.write_bytes(b'la"bel' + HEAD[5:] + b"7,0,1,2,255\n")
    assert "'label' in include_columns does not exist" in refusal()
