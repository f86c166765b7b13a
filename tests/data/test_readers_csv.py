"""Kaggle's CSV: what is read, and one line for everything that is not."""

import gzip
import logging
from csv import QUOTE_NONE
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits
from support import refusal

from digits.data.readers.raw import read_raw

IMAGES = load_digits().images[:20].astype(np.uint8)
LABELS = load_digits().target[:20].astype(np.int64)
PIXELS = [f"pixel{i}" for i in range(64)]


@pytest.fixture
def frame() -> pd.DataFrame:
    """The 8×8 digits as Kaggle would publish them, cells as text so that any can be spoilt."""
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
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: text.replace(b"\n", b"\r"),
        lambda text: b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n"),
        lambda text: text.replace(b"label", b'"label"').replace(b"pixel0", b'"pixel0"'),
        gzip.compress,
    ],
    ids=["BOM", "CRLF", "CR", "BOM and CRLF", "quoted header, as R writes it", "gzip"],
)
def test_the_dress_of_the_text_changes_nothing(tmp_path: Path, frame, dress) -> None:
    path = write(tmp_path, frame)
    path.write_bytes(dress(path.read_bytes()))
    train = read_raw(tmp_path).train
    np.testing.assert_array_equal(train.images, IMAGES)
    np.testing.assert_array_equal(train.labels, LABELS)


@pytest.mark.parametrize("side", [1, 2, 28, 300])
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


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *((column, "256") for column in ("label", "pixel0", "pixel49", "pixel63")),
        *((column, "0x1F") for column in ("label", "pixel0", "pixel49", "pixel63")),
        *(("pixel5", value) for value in ("", "-1", "-0", "3.5", "3.0", "NaN", "seven", "1e2")),
        *(
            ("label", value)
            for value in ("0X1f", "+5", "５", "1_0", "inf", '"5"', "0b1", "9" * 5000)
        ),
    ],
)
def test_a_bad_cell_is_named_by_line_column_and_value(
    tmp_path: Path, frame: pd.DataFrame, column: str, value: str
) -> None:
    frame.loc[3, column] = value
    path = write(tmp_path, frame, quoting=QUOTE_NONE)
    said = f"{path}:5 column {column}: {value[:40]!r} is no whole number 0..255"
    assert refusal(tmp_path) == said


@pytest.mark.parametrize("cell", [" 5", "5\t", "005"])
def test_spaces_and_zeros_around_a_number_change_nothing(
    tmp_path: Path, frame: pd.DataFrame, cell: str
) -> None:
    frame.loc[3, ["label", "pixel3"]] = cell
    write(tmp_path, frame)
    train = read_raw(tmp_path).train
    assert (train.labels[3], train.images[3].flat[3]) == (5, 5)


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_a_hexadecimal_label_is_found_whatever_ends_the_lines(tmp_path: Path, end: str) -> None:
    (tmp_path / "train.csv").write_bytes("label,pixel0\n1,2\n0x3,4\n".replace("\n", end).encode())
    assert refusal(tmp_path).startswith(f"{tmp_path}/train.csv:3 column label: '0x3' is no whole")


def test_a_label_beyond_the_classes_is_left_to_validation(tmp_path: Path, frame) -> None:
    frame.loc[3, "label"] = "10"
    write(tmp_path, frame)
    assert read_raw(tmp_path).train.labels[3] == 10


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["label", *PIXELS[:30], *PIXELS[31:]], "column pixel30 is missing"),
        (PIXELS, "column label is missing"),
        (["label", *PIXELS[1:]], "column pixel0 is missing"),
        (["label", *PIXELS[:63]], "63 pixel columns make no square image"),
        (["label", *PIXELS, "source"], "column 66 is 'source' where pixel64 belongs"),
        (["id", "label", *PIXELS], "column 1 is 'id' where label belongs"),
        (["label", *PIXELS, "pixel64"], "65 pixel columns make no square image"),
        (["label", *PIXELS[:9], " pixel9", *PIXELS[10:]], "column 11 is ' pixel9' where pixel9"),
        (["label", *PIXELS[::-1]], "column 2 is 'pixel63' where pixel0 belongs"),
        (["", "label", *PIXELS], "column 1 is a pandas index column"),
        (["Unnamed: 0", "label", *PIXELS], "column 1 is a pandas index column"),
        (["label"], "0 pixel columns make no square image"),
        (["5", *(["0"] * 64)], "the header is missing, the first line holds numbers"),
        (["hello world"], "column 1 is 'hello world' where label belongs"),
        ([], "the line is empty"),
    ],
)
def test_another_header_is_refused_by_its_first_fault(
    tmp_path: Path, names: list[str], said: str
) -> None:
    path = tmp_path / "train.csv"
    path.write_text(",".join(names) + "\n" + ",".join("0" for _ in names) + "\n")
    line = refusal(tmp_path)
    assert line.startswith(f"{path}:1: ")
    assert said in line


@pytest.mark.parametrize("separator", [";", "\t", "|", " "])
def test_another_separator_is_named(tmp_path: Path, frame: pd.DataFrame, separator: str) -> None:
    write(tmp_path, frame, sep=separator)
    assert f"columns are separated by {separator!r}, not by a comma" in refusal(tmp_path)


def test_a_header_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_bytes("étiquette,pixel0\n1,2\n".encode("latin-1"))
    assert "train.csv:1: header is no CSV text in UTF-8" in refusal(tmp_path)


@pytest.mark.parametrize("lost", [1, 2, 3, 60, 200])
def test_a_file_cut_off_anywhere_in_a_line_is_refused(tmp_path: Path, frame, lost: int) -> None:
    frame["pixel63"] = "128"
    path = write(tmp_path, frame)
    path.write_bytes(path.read_bytes()[:-lost])
    assert "ends without a newline, so its last number may be cut off" in refusal(tmp_path)


def test_a_line_cut_short_in_the_middle_is_named(tmp_path: Path, frame: pd.DataFrame) -> None:
    path = write(tmp_path, frame)
    lines = path.read_text().splitlines(keepends=True)
    lines[4] = lines[4][:40] + "\n"
    path.write_text("".join(lines))
    assert refusal(tmp_path).startswith(f"{path}:5: ")
    assert refusal(tmp_path).endswith(" cells; 65 are allowed, one per column")


def test_an_empty_line_is_named(tmp_path: Path, frame: pd.DataFrame) -> None:
    path = write(tmp_path, frame)
    path.write_bytes(path.read_bytes() + b"\n")
    assert refusal(tmp_path) == f"{path}:22 column label: '' is no whole number 0..255"


def test_a_header_without_rows_is_refused(tmp_path: Path, frame: pd.DataFrame) -> None:
    path = write(tmp_path, frame.head(0))
    assert refusal(tmp_path) == f"{path}: the training part holds no images; at least one is needed"


@pytest.mark.parametrize("row", [b"1,2\n", b","])
def test_gigabytes_in_a_small_gzip_are_not_unpacked(tmp_path: Path, row: bytes) -> None:
    path = tmp_path / "train.csv"
    member = gzip.compress(row * ((16 << 20) // len(row)))
    path.write_bytes(gzip.compress(b"label,pixel0\n") + member * 20)
    said = "gzip unpacks to over 256 MB and 50 times its size; unpack it by hand"
    assert refusal(tmp_path) == f"{path}: {said}"


def test_of_the_whole_kaggle_folder_the_labelled_file_is_read(
    tmp_path: Path, frame: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, frame)
    frame[PIXELS].to_csv(tmp_path / "test.csv", index=False)
    (tmp_path / "sample_submission.csv").write_text("ImageId,Label\n1,0\n2,0\n")
    with caplog.at_level(logging.WARNING):
        raw = read_raw(tmp_path)
    assert raw.test is None
    np.testing.assert_array_equal(raw.train.images, IMAGES)
    assert [f"{tmp_path}/{name}" for name in ("sample_submission.csv", "test.csv")] == [
        message.split(": ")[0] for message in caplog.messages
    ]
