"""Inputs to score: what is read, and what is refused in one line."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import finding
from PIL import Image

from imageproof.answer._inputs import BATCH, open_input
from imageproof.base.errors import DataError

SHAPE = (4, 5)
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (BATCH + 7, *SHAPE), dtype=np.uint8)


def frame(images=IMAGES):
    flat = images.reshape(len(images), -1)
    return pd.DataFrame(flat, columns=[f"pixel{k}" for k in range(flat.shape[1])])


def read(path, shape=SHAPE):
    return [*open_input(path, shape=shape, fit="stretch")]


def refusal(path):
    line = finding(DataError, lambda: read(path))
    assert line.startswith(str(path))
    return line


def test_input_is_read_in_batches(tmp_path):
    np.savez(tmp_path / "plain.npz", images=IMAGES)
    np.savez_compressed(tmp_path / "packed.npz", whatever=IMAGES)
    np.savez(tmp_path / "parts.npz", y=1, x_train=IMAGES[:1], x_test=IMAGES)
    frame().assign(label=3).to_csv(tmp_path / "i.csv", index=False)
    frame().astype("int32").to_parquet(tmp_path / "i.parquet", row_group_size=250)
    for path in tmp_path.iterdir():
        batches = read(path)
        assert np.array_equal(np.concatenate([batch.images for batch in batches]), IMAGES), path
        assert [row for batch in batches for row in batch.names] == [*range(len(IMAGES))]
        assert max(len(batch.images) for batch in batches) <= BATCH


def test_colour_lies_row_by_row_and_red_green_blue(tmp_path):
    images = RNG.integers(0, 256, (9, 4, 5, 3), dtype=np.uint8)
    np.savez(tmp_path / "i.npz", images=images)
    frame(images).to_csv(tmp_path / "i.csv", index=False)
    frame(images).to_parquet(tmp_path / "i.parquet")
    for path in tmp_path.iterdir():
        [batch] = read(path, (4, 5, 3))
        assert np.array_equal(batch.images, images)


def test_large_images_come_in_smaller_batches(tmp_path, monkeypatch):
    monkeypatch.setattr("imageproof.answer._inputs.BATCH_BYTES", 70)
    np.savez(tmp_path / "i.npz", images=IMAGES[:8])
    frame(IMAGES[:8]).to_parquet(tmp_path / "i.parquet")
    for path in tmp_path.iterdir():
        assert [len(batch.images) for batch in read(path)] == [3, 3, 2]


def test_folder_is_read_by_name_and_the_rest_counted(tmp_path, capsys):
    for name in ("b.png", "a.png"):
        Image.fromarray(IMAGES[0]).save(tmp_path / name)
    for name in ("b.gif", ".hidden"):
        (tmp_path / name).touch()
    (tmp_path / "more").mkdir()
    [batch] = read(tmp_path)
    assert (batch.names, batch.images.shape) == (["a.png", "b.png"], (2, *SHAPE))
    text = "left out, as no PNG, JPEG, WebP or BMP: 2 (b.gif, more)"
    assert capsys.readouterr().err == f"warning: {tmp_path}: {text}\n"


ZEROS = frame(np.zeros((2, *SHAPE), int))
EMPTY = ZEROS.astype("Int64").assign(pixel3=pd.NA)


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("i.csv", ZEROS[:0], "no images in it"),
        ("i.csv", ZEROS.drop(columns="pixel19"), "19 pixel columns; the model takes pixel0…"),
        ("i.csv", ZEROS.assign(pixel20=0), "21 pixel columns; the model takes pixel0…pixel19"),
        ("i.csv", ZEROS.assign(pixel0=[0, 256]), "Row #3: CSV conversion error to uint8: invalid"),
        ("i.npz", {"images": np.full((2, 4, 5), np.nan)}, "float64 (2, 4, 5); the model takes "),
        ("i.npz", {"images": IMAGES[:, 1:]}, "uint8 (1007, 3, 5); the model takes uint8 (n, 4, 5)"),
        ("i.npz", {"images": np.array([None, {}])}, "cannot be read as npz of numbers: "),
        ("i.npz", {"a": IMAGES, "b": IMAGES}, "holds 2 arrays; one"),
        ("i.parquet", ZEROS[:0], "no images in it"),
        ("i.parquet", ZEROS.astype(float), "a pixel is no whole number 0…255"),
        ("i.parquet", ZEROS - 1, "a pixel is no whole number 0…255"),
        ("i.parquet", ZEROS + 256, "a pixel is no whole number 0…255"),
        ("i.parquet", EMPTY, "cannot be read as Parquet: "),
    ],
)
def test_bad_input(tmp_path, name, content, text):
    path = tmp_path / name
    if path.suffix == ".npz":
        np.savez_compressed(path, **content)
    elif path.suffix == ".csv":
        content.to_csv(path, index=False)
    else:
        content.to_parquet(path)
    assert text in refusal(path)


def test_damaged_parquet(tmp_path):
    path = tmp_path / "i.parquet"
    pq.write_table(
        pa.Table.from_pandas(frame()), path, use_dictionary=False, write_page_checksum=True
    )
    content = bytearray(path.read_bytes())
    content[100:3000] = b"\xff" * 2900
    path.write_bytes(content)
    assert "cannot be read as Parquet: " in refusal(path)


def test_without_pictures(tmp_path):
    assert "not found" in refusal(tmp_path / "nowhere")
    assert "no images in it (folders in it are left out); .png" in refusal(tmp_path)
