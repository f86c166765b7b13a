"""Scoring streams of images: what is read, what is refused, what has drifted."""

import gzip
import hashlib
import io
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from support import DAMAGED_ARRAYS, PARAMS, finding

from digits.core.dataset import Images
from digits.core.errors import DataError
from digits.data.validation.validate import ValidateParams
from digits.evaluation.drift import count_values
from digits.scoring.drift import image_stats
from digits.scoring.inputs import ALLOWED, open_input
from digits.scoring.parquet import BATCH
from digits.scoring.score import Answering, Tally, write_predictions
from digits.scoring.tables import Input, open_table

SHAPE = (4, 5)
ROWS = BATCH + 7
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (ROWS, *SHAPE), dtype=np.uint8)
HEADER = ",".join(f"pixel{i}" for i in range(16))


def csv_of(images: Images, labels: bool = False) -> str:
    columns = [f"pixel{i}" for i in range(images[0].size)]
    frame = pd.DataFrame(images.reshape(len(images), -1), columns=columns)
    if labels:
        frame.insert(0, "label", 3)
    return frame.to_csv(index=False)


def read(source: Input) -> Images:
    return np.concatenate([batch.images for batch in source.batches()])


@pytest.mark.parametrize("arrays", [["images"], ["whatever"], ["x_train", "y_train", "x_test"]])
@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_an_npz_is_read_in_batches(tmp_path, arrays, write):
    path = tmp_path / "i.npz"
    write(path, **dict.fromkeys(arrays, IMAGES))
    source = open_input(path, shape=SHAPE)
    assert [len(batch.images) for batch in source.batches()] == [BATCH, 7]
    assert [batch.names[0] for batch in source.batches()] == [0, BATCH]
    assert np.array_equal(read(source), IMAGES)


@pytest.mark.parametrize("labels", [False, True], ids=["pixels", "label and pixels"])
def test_a_csv_is_read_in_batches(tmp_path, labels):
    square = IMAGES[:, :, :4]
    path = tmp_path / "i.csv"
    path.write_text(csv_of(square, labels), encoding="utf-8")
    source = open_input(path, shape=(4, 4))
    assert [len(batch.images) for batch in source.batches()] == [BATCH, 7]
    assert [batch.names[0] for batch in source.batches()] == [0, BATCH]
    assert np.array_equal(read(source), square)


def test_a_folder_is_read_by_name(tmp_path):
    for name, ink in (("b.png", 255), ("a.png", 200), ("notes.txt", 0)):
        page = np.zeros((40, 40), np.uint8)
        page[5:30, 10:14] = ink
        Image.fromarray(page).save(tmp_path / name, format="PNG")
    [batch] = open_input(tmp_path, shape=SHAPE).batches()
    assert batch.names == ["a.png", "b.png"]
    assert batch.images.shape == (2, *SHAPE)


def test_the_hash_follows_the_content(tmp_path):
    first, second = tmp_path / "1.npz", tmp_path / "2.npz"
    np.savez(first, images=IMAGES)
    np.savez(second, images=IMAGES // 2)
    hashes = [open_input(path, shape=SHAPE).md5() for path in (first, first, second)]
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "0 bytes long"),
        (f"{HEADER}\n", "a header and no rows"),
        (f"{HEADER}\n{'0,' * 14}0\n", ":2: 15 cells; 16 are allowed"),
        (f"{HEADER}\nnan{',0' * 15}\n", ":2 column pixel0: 'nan' is no whole number"),
        (f"{HEADER}\n{'9' * 5000}{',0' * 15}\n", ":2 column pixel0: '9999"),
        (f"{HEADER}\n0x1F{',0' * 15}\n", ":2 column pixel0: '0x1F' is no whole number"),
        (f"{HEADER}\n256{',0' * 15}\n", ":2 column pixel0: '256' is no whole number"),
        (HEADER.removesuffix(",pixel15") + "\n", "15 pixel columns; the model takes 4×4 = 16"),
    ],
)
def test_a_bad_csv_is_a_line(tmp_path, text, says):
    path = tmp_path / "bad.csv"
    path.write_text(text, encoding="utf-8")
    line = finding(DataError, lambda: read(open_input(path, shape=(4, 4))))
    assert line.startswith(str(path))
    assert says in line


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.full((2, *SHAPE), np.nan), "nan and fractions are no pixels"),
        (np.zeros((2, 5, 5), np.uint8), "the model takes (n, 4, 5)"),
        (np.zeros((0, *SHAPE), np.uint8), "no images"),
        (np.array([None, {}]), "object"),
    ],
)
def test_a_bad_npz_is_a_line(tmp_path, array, says):
    path = tmp_path / "bad.npz"
    np.savez(path, images=array)
    assert says in finding(DataError, lambda: open_input(path, shape=SHAPE))


@pytest.mark.parametrize("member", DAMAGED_ARRAYS.values(), ids=DAMAGED_ARRAYS)
def test_a_damaged_npz_is_a_line(tmp_path, member):
    path = tmp_path / "bad.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", member)
    assert finding(DataError, lambda: read(open_input(path, shape=SHAPE))).startswith(f"{path}")


@pytest.mark.parametrize("place", [0.5, 0.9])
@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_a_flipped_byte_in_an_npz_is_a_line(tmp_path, write, place):
    path = tmp_path / "bad.npz"
    write(path, images=IMAGES)
    content = bytearray(path.read_bytes())
    content[int(len(content) * place)] ^= 0xFF
    path.write_bytes(content)
    line = finding(DataError, lambda: read(open_input(path, shape=SHAPE)))
    assert line.startswith(f"{path}: cannot be read as npz: ")


def test_more_rows_than_the_header_says_are_refused(tmp_path):
    path = tmp_path / "bad.npz"
    array = io.BytesIO()
    np.save(array, IMAGES)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", array.getvalue() + b"more")
    line = finding(DataError, lambda: read(open_input(path, shape=SHAPE)))
    assert line == f"{path}: holds more than the {ROWS:,} images it declares"


def test_gigabytes_in_a_small_file_are_not_unpacked(tmp_path):
    path = tmp_path / "bad"
    np.savez_compressed(path.with_suffix(".npz"), images=np.zeros((16 << 20, *SHAPE), np.uint8))
    said = "unpacks to over 256 MB and 50 times its size"
    assert said in finding(DataError, lambda: open_input(path.with_suffix(".npz"), shape=SHAPE))
    row = b"0," * 15 + b"0\n"
    path.write_bytes(gzip.compress(f"{HEADER}\n".encode()) + gzip.compress(row * 99_999) * 90)
    assert said in finding(DataError, lambda: read(open_input(path, shape=(4, 4))))


@pytest.mark.parametrize("name", ["i.csv", "i.csv.gz"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_gzipped_csv_is_told_by_content(tmp_path, name, pack):
    (tmp_path / name).write_bytes(pack(csv_of(IMAGES[:, :, :4]).encode()))
    source = open_input(tmp_path / name, shape=(4, 4))
    assert np.array_equal(read(source), IMAGES[:, :, :4])


def test_other_archives_are_called_what_they_are(tmp_path):
    path = tmp_path / "images"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("train.csv", csv_of(IMAGES))
    line = finding(DataError, lambda: open_input(path, shape=SHAPE))
    assert line == f"{path}: a zip archive of train.csv; unpack it first"


def test_what_is_missing_or_empty_is_a_line(tmp_path):
    missing = tmp_path / "nowhere"
    assert "not found" in finding(DataError, lambda: open_input(missing, shape=SHAPE))
    assert "no pictures" in finding(DataError, lambda: open_input(tmp_path, shape=SHAPE))
    empty = tmp_path / "empty.csv"
    empty.touch()
    line = finding(DataError, lambda: open_input(empty, shape=SHAPE))
    assert line == f"{empty}: 0 bytes long; {ALLOWED}"


def frame(images):
    flat = images.reshape(len(images), images[0].size if len(images) else 20)
    return pd.DataFrame(flat, columns=[f"pixel{number}" for number in range(flat.shape[1])])


def column(images):
    return pa.table({"image": pa.array([row.tobytes() for row in images], pa.binary(20))})


@pytest.mark.parametrize("rows", [100, 300, 2000])
@pytest.mark.parametrize(
    "write",
    [
        lambda path: np.savez(path.with_suffix(".npz"), images=IMAGES),
        lambda path: np.savez_compressed(path.with_suffix(".npz"), images=IMAGES),
        lambda path: pq.write_table(column(IMAGES), path, row_group_size=90),
        lambda path: frame(IMAGES).astype("int32").to_parquet(path, row_group_size=250),
        lambda path: frame(IMAGES).to_parquet(path),
    ],
    ids=["npz", "compressed npz", "bytes", "whole numbers", "one row group"],
)
def test_the_spans_of_a_table_are_the_whole(tmp_path, write, rows):
    write(tmp_path / "i.parquet")
    [path] = tmp_path.iterdir()
    table = open_table(path, lambda: path.open("rb"), shape=SHAPE)
    assert table is not None
    batches = [batch for span in table.spans(rows) for batch in table.batches(span)]
    assert np.array_equal(np.concatenate([batch.images for batch in batches]), IMAGES)
    assert [name for batch in batches for name in batch.names] == list(range(ROWS))
    assert np.array_equal(read(open_input(path, shape=SHAPE)), IMAGES)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (frame(IMAGES).astype(float), "column pixel0: double; pixel0…pixel19 of whole numbers"),
        (frame(IMAGES).drop(columns="pixel9"), "column pixel9: missing; pixel0"),
        (frame(IMAGES).assign(pixel20=0), "column pixel20: the model takes 20"),
        (pd.DataFrame({"image": [b"x"]}), "column image: binary; the model takes fixed_size"),
        (frame(IMAGES[:0]), "no rows; at least one image is needed"),
    ],
    ids=["fractions", "too few", "too many", "bytes of any length", "empty"],
)
def test_a_parquet_file_of_another_form_is_a_line(tmp_path, table, says):
    table.to_parquet(path := tmp_path / "i.parquet")
    line = finding(DataError, lambda: open_input(path, shape=SHAPE))
    assert line.startswith(f"{path}")
    assert says in line


@pytest.mark.parametrize(
    ("value", "says"),
    [(256, "256 is no whole number 0..255"), (-1, "-1 is no whole"), (None, "an empty cell")],
)
def test_a_cell_of_a_parquet_file_is_named(tmp_path, value, says):
    table = frame(IMAGES).astype("Int64")
    table.loc[450, "pixel5"] = value
    table.to_parquet(path := tmp_path / "i.parquet", row_group_size=200)
    line = finding(DataError, lambda: read(open_input(path, shape=SHAPE)))
    assert line.startswith(f"{path} row 450 column pixel5: {says}")


@pytest.mark.parametrize("damage", ["cut", "noise"])
def test_a_damaged_parquet_file_is_a_line(tmp_path, damage):
    path = tmp_path / "i.parquet"
    pq.write_table(column(IMAGES), path, use_dictionary=False, write_page_checksum=True)
    content = bytearray(path.read_bytes())
    content[100:3000] = b"\xff" * 2900
    path.write_bytes({"cut": content[:5000], "noise": content}[damage])
    line = finding(DataError, lambda: read(open_input(path, shape=SHAPE)))
    assert line.startswith(f"{path}: cannot be read as Parquet: ")


def first_pixels(images):
    """A stand-in for probabilities of three classes."""
    return images.reshape(len(images), -1)[:, :3].astype(np.float32)


def predictions_of(tmp_path, limit=None):
    """Writes p.parquet of IMAGES; returns what was counted."""
    np.savez(tmp_path / "i.npz", images=IMAGES)
    batches = open_input(tmp_path / "i.npz", shape=SHAPE).batches()
    tally = Tally(256, ValidateParams(**PARAMS["validate"]))
    facts = {"model": "models:/digits/3", "data_md5": "abc"}
    answering = Answering(first_pixels, limit)
    md5 = write_predictions(batches, tmp_path / "p.parquet", answering, tally, facts)
    assert md5 == hashlib.md5(IMAGES.tobytes()).hexdigest()
    return pd.read_parquet(tmp_path / "p.parquet"), tally


def test_predictions_carry_model_and_data(tmp_path):
    predictions, tally = predictions_of(tmp_path)
    expected = first_pixels(IMAGES)
    assert predictions["row"].tolist() == list(range(ROWS))
    assert predictions["predicted"].tolist() == expected.argmax(axis=1).tolist()
    counts = np.bincount(predictions["predicted"], minlength=256)
    assert counts.tolist() == tally.class_counts.tolist()
    assert np.array_equal(predictions[["p0", "p1", "p2"]].to_numpy(), expected)
    for name, values in image_stats(IMAGES).items():
        assert np.array_equal(predictions[name], values)
        assert np.array_equal(tally.seen.counted[name].counts, count_values(values).counts)
    facts = {"model": "models:/digits/3", "data_md5": "abc"}
    assert {name: set(predictions[name]) for name in facts} == {k: {v} for k, v in facts.items()}
    assert "set_size" not in predictions


def test_each_row_has_the_size_of_its_answer_set(tmp_path):
    predictions, tally = predictions_of(tmp_path, limit=100)
    sizes = (first_pixels(IMAGES) >= 100).sum(axis=1)
    assert predictions["set_size"].tolist() == sizes.tolist()
    assert set(sizes) == {0, 1, 2, 3}
    assert tally.unsure == ((sizes == 0) | (sizes == 3)).sum()
