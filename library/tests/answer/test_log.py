"""The log of a service and the labels that come later, as `monitor` reads them; hostile files."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from example import NAME
from helpers import finding

from imageproof.answer._logged import open_log, read_labels, read_log, read_shadow
from imageproof.base.errors import DataError

AT = pa.timestamp("us", "UTC")
NOW = datetime(2025, 11, 26, 12, tzinfo=UTC)
FILE = Path("log/2025-11-26/120000-1-0.parquet")


@pytest.fixture(autouse=True)
def log(workspace):
    """A file of nine rows, as a service writes it."""
    FILE.parent.mkdir(parents=True)
    write()


def write(**columns):
    """The file, with other columns."""
    values = {
        "at": pa.array([NOW + timedelta(microseconds=row) for row in range(9)], AT),
        "image": [bytes(64)] * 9,
        "predicted": pa.array([*range(9)], pa.int16()),
        "set_size": pa.array([1] * 9, pa.int16()),
        "model": pa.array([f"{NAME} 1"] * 9).dictionary_encode(),
    }
    pq.write_table(pa.table(values | columns), FILE)


def read():
    files = SimpleNamespace(shape=(8, 8), classes=10)
    origin = SimpleNamespace(uri=f"models:/{NAME}/1")
    model = SimpleNamespace(origin=origin, files=files)
    return [*read_log(open_log(Path("log"), days=1), model)]


@pytest.mark.parametrize(
    ("column", "values", "text"),
    [
        ("image", [bytes(64), b"x"] * 4 + [b""], "row 1 column image: no image of 8×8"),
        ("predicted", [*[0] * 8, -1], "row 8 column predicted: a class 0…9 is needed"),
        ("predicted", [2.7] * 9, "row 0 column predicted: a class 0…9 is needed"),
        ("set_size", [2.7] * 9, "row 0 column set_size: a count 0…10 is needed"),
        (
            "at",
            pa.array([*[NOW] * 8, NOW.replace(year=2199)], AT),
            "row 8 column at: no time, or one after now",
        ),
    ],
)
def test_bad_values(column, values, text):
    write(**{column: values})
    line = finding(DataError, read)
    assert line.startswith(str(FILE))
    assert text in line


def test_table_that_is_no_log():
    pq.write_table(pa.table({"at": [0]}), FILE)
    assert finding(DataError, read) == f"{FILE}: lacks model, which a service's log has"


def test_challengers_answers_are_numbers():
    write(predicted=["seven"] * 9)
    line = finding(DataError, read_shadow, open_log(Path("log"), days=1))
    assert line.startswith(f"{FILE}: cannot be read as a challenger's log: ")


def test_repeated_image_fills_no_memory():
    table = pq.read_table(FILE, partitioning=None).take([0] * 800_000)
    pq.write_table(table, FILE, store_schema=False)
    assert "over 50,000,000 bytes of images" in finding(DataError, read)


def test_log_without_rows_or_that_unpacks_to_far_more(monkeypatch):
    monkeypatch.setattr("imageproof.base._dataset.MAX_UNPACKED", 1 << 20)
    table = pa.table({"at": pa.array([NOW], AT), "image": [bytes(2 << 20)], "model": ["x 1"]})
    pq.write_table(table, FILE, compression="zstd", use_dictionary=False)
    assert "unpacks to over 1 MB and 50 times its size" in finding(DataError, read)
    pq.write_table(table[:0], FILE)
    assert finding(DataError, read) == f"{FILE}: is a log without rows"


def test_file_that_the_service_deletes_meanwhile_is_left_out():
    log = open_log(Path("log"), days=1)
    FILE.unlink()
    assert not [*read_log(log, None)]


def labels(names="0123456789"):
    return read_labels(Path("labels.csv"), key="at", names=[*names])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("at,label\n", "labels.csv: has no row"),
        ("at;label\n2025-11-26;3\n", "labels.csv:1: at;label; at,label and other names are needed"),
        ("at,label\n8,2025-11-26,3\n", "labels.csv:2: 3 values for 2 columns"),
        ("at,label,label\n2025-11-26,3,5\n", "labels.csv:1: at,label,label; "),
        ("at,label\n11/12/2025,3\n", "cannot be read as labels: "),
        ("at,label\n2025-11-26,3\n2025-11-26,4\n", "row 3 column at: a value occurs twice"),
        ("at,label\n2025-11-26,10\n", "row 2 column label: '10': no class; 0, 1, 2, … are"),
        ("at,label\n2025-11-26,3\n2025-11-27,\n", "row 3 column label: '': no class; "),
        ("at,label\n,1\n", "row 2 column at: no digit in it"),
        ("at,label\nnow,1\n", "row 2 column at: no digit in it"),
        ("at,label,random\n2025-11-26,3,1\n2025-11-26T00,4,0\n", "row 3 column at: a value occurs"),
        ("at,label,random\n2025-11-26,3,2\n", "row 2 column random: true, false, 1 or 0 is needed"),
    ],
)
def test_bad_labels(text, message):
    Path("labels.csv").write_text(text, "utf-8")
    line = finding(DataError, labels)
    assert line.startswith("labels.csv")
    assert message in line


@pytest.mark.parametrize(
    ("label", "names"),
    [
        ("00", ["01", "00"]),
        ("None", ["a", "None"]),
        (" u\u0308", ["a", "ü"]),
    ],
)
def test_labels_are_names_of_classes(label, names):
    Path("labels.csv").write_text(f"at,label\n2025-11-26,{label}\n", "utf-8")
    assert labels(names)["label"].tolist() == [1]


def test_times_of_labels():
    times = "2025-11-26T12:00:00Z,3\n2025-11-26T12:00:00.000001Z,3"  # as a service writes them
    Path("labels.csv").write_text(f"at,label\n{times}", "utf-8")
    assert labels().index.tolist() == [NOW.timestamp() * 1e6, NOW.timestamp() * 1e6 + 1]
