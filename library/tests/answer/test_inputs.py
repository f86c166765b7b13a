"""Inputs to score: what is read, and what is refused in one line."""

import numpy as np
import pandas as pd
import pytest
from helpers import finding
from PIL import Image

from imageproof.answer._inputs import BATCH, open_input
from imageproof.base.errors import DataError
from imageproof.data.readers._cells import pixel_names

SHAPE = (4, 5)
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (8, *SHAPE), dtype=np.uint8)


def frame(images):
    flat = images.reshape(len(images), -1)
    return pd.DataFrame(flat, columns=pixel_names(flat.shape[1]))


def read(path, shape=SHAPE):
    return [*open_input(path, shape=shape, fit="stretch")]


def refusal(path):
    line = finding(DataError, read, path)
    assert line.startswith(str(path))
    return line


@pytest.mark.parametrize("shape", [SHAPE, (*SHAPE, 3)])
def test_input_is_read_in_batches(tmp_path, shape):
    images = RNG.integers(0, 256, (BATCH + 7, *shape), dtype=np.uint8)
    np.savez(tmp_path / "plain.npz", images=images)
    np.savez_compressed(tmp_path / "packed.npz", whatever=images)
    np.savez(tmp_path / "parts.npz", y=1, x_train=images[:1], x_test=images)
    frame(images).assign(label=3).to_csv(tmp_path / "i.csv", index=False)
    frame(images).astype("int32").to_parquet(tmp_path / "i.parquet", row_group_size=250)
    for path in tmp_path.iterdir():
        batches = read(path, shape)
        assert np.array_equal(np.concatenate([batch.images for batch in batches]), images), path
        assert [row for batch in batches for row in batch.names] == [*range(len(images))]
        assert max(len(batch.images) for batch in batches) <= BATCH


def test_large_images_come_in_smaller_batches(tmp_path, monkeypatch):
    monkeypatch.setattr("imageproof.answer._inputs.BATCH_BYTES", 70)
    np.savez(tmp_path / "i.npz", images=IMAGES)
    frame(IMAGES).to_parquet(tmp_path / "i.parquet")
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


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("i.csv", ZEROS[:0], "no images in it"),
        ("i.csv", ZEROS.astype(str).assign(pixel7="0x10", id="x"), "Row #2: CSV conversion error"),
        ("i.csv", ZEROS.drop(columns="pixel19"), "19 pixel columns; the model takes pixel0…"),
        ("i.npz", {"images": IMAGES.astype(float)}, "float64 (8, 4, 5); the model takes uint8"),
        ("i.npz", {"a": IMAGES, "b": IMAGES}, "holds 2 arrays; one"),
        ("i.parquet", ZEROS.assign(pixel7="0x10"), "pixels are no numbers"),
        ("i.parquet", ZEROS.reindex([0, 9]), "a pixel is empty"),
        ("i.parquet", ZEROS + 256, "cannot be read as Parquet: Integer value 256 not in range"),
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


def test_without_pictures(tmp_path):
    assert "not found" in refusal(tmp_path / "nowhere")
    assert "no images in it (folders in it are left out); .png" in refusal(tmp_path)
