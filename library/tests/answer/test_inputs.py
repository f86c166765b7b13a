"""Inputs to score: what is read, and what is refused in one line."""

from functools import partial

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import finding
from PIL import Image

from imageproof.answer.inputs import BATCH, open_input
from imageproof.base.dataset import Images
from imageproof.base.errors import DataError

SHAPE = (4, 5)
ROWS = BATCH + 7
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (ROWS, *SHAPE), dtype=np.uint8)


def frame(images=IMAGES):
    flat = images.reshape(len(images), 20)
    return pd.DataFrame(flat, columns=[f"pixel{number}" for number in range(20)])


def read(path) -> Images:
    return np.concatenate([batch.images for batch in open_input(path, shape=SHAPE, fit="digit")])


def refusal(path):
    line = finding(DataError, lambda: read(path))
    assert line.startswith(str(path))
    return line


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("i.npz", lambda path: np.savez(path, images=IMAGES)),
        ("i.npz", lambda path: np.savez_compressed(path, whatever=IMAGES)),
        ("i.npz", lambda path: np.savez(path, y=1, x_train=IMAGES[:1], x_test=IMAGES)),
        ("i.csv", lambda path: frame().assign(label=3).to_csv(path, index=False)),
        ("i.parquet", lambda path: frame().astype("int32").to_parquet(path, row_group_size=250)),
    ],
)
def test_input_is_read_in_batches(tmp_path, name, write):
    write(path := tmp_path / name)
    batches = [*open_input(path, shape=SHAPE, fit="digit")]
    assert np.array_equal(np.concatenate([batch.images for batch in batches]), IMAGES)
    assert [row for batch in batches for row in batch.names] == [*range(ROWS)]
    assert max(len(batch.images) for batch in batches) <= BATCH


def test_folder_is_read_by_name(tmp_path):
    for name, ink in (("b.png", 255), ("a.png", 200), ("notes.txt", 0)):
        page = np.zeros((40, 40), np.uint8)
        page[5:30, 10:14] = ink
        Image.fromarray(page).save(tmp_path / name, format="PNG")
    [batch] = open_input(tmp_path, shape=SHAPE, fit="digit")
    assert batch.names == ["a.png", "b.png"]
    assert batch.images.shape == (2, *SHAPE)


def test_colour_lies_row_by_row_and_red_green_blue(tmp_path):
    images = RNG.integers(0, 256, (9, 4, 5, 3), dtype=np.uint8)
    table = pd.DataFrame(images.reshape(9, 60), columns=[f"pixel{k}" for k in range(60)])
    np.savez(tmp_path / "i.npz", images=images)
    table.to_csv(tmp_path / "i.csv", index=False)
    table.to_parquet(tmp_path / "i.parquet")
    for path in sorted(tmp_path.iterdir()):
        [batch] = open_input(path, shape=(4, 5, 3), fit="crop")
        assert np.array_equal(batch.images, images)
    np.savez(tmp_path / "i.npz", images=images[..., 0])
    wrong = partial(open_input, tmp_path / "i.npz", shape=(4, 5, 3), fit="crop")
    line = finding(DataError, wrong)
    assert line.endswith("uint8 (9, 4, 5); the model takes uint8 (n, 4, 5, 3)")


def test_large_images_come_in_smaller_batches(tmp_path, monkeypatch):
    monkeypatch.setattr("imageproof.answer.inputs.BATCH_BYTES", 70)
    np.savez(tmp_path / "i.npz", images=IMAGES[:8])
    frame(IMAGES[:8]).to_parquet(tmp_path / "i.parquet")
    for path in tmp_path.iterdir():
        batches = open_input(path, shape=SHAPE, fit="crop")
        assert [len(batch.images) for batch in batches] == [3, 3, 2]


HEADER = ",".join(f"pixel{number}" for number in range(20))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "0 pixel columns; the model takes"),
        (f"{HEADER}\n", "no images in it"),
        (f"{HEADER}\n{'0,' * 18}0\n", "Expected 20 columns, got 19"),
        (f"{HEADER}\n{',0' * 19}\n", "#0: Row #2: CSV conversion error to uint8: "),
        (
            f"{HEADER}\n{'0,' * 19}0\n256{',0' * 19}\n",
            "Row #3: CSV conversion error to uint8: invalid",
        ),
        (HEADER.removesuffix(",pixel19") + "\n", "19 pixel columns; the model takes"),
        (f"{HEADER},pixel20\n{'0,' * 20}0\n", "21 pixel columns; the model takes"),
    ],
)
def test_bad_csv(tmp_path, text, says):
    path = tmp_path / "bad.csv"
    path.write_text(text, encoding="utf-8")
    assert says in refusal(path)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"images": np.full((2, *SHAPE), np.nan)}, "the model takes uint8 (n, 4, 5)"),
        ({"images": np.zeros((2, 5, 5), np.uint8)}, "uint8 (2, 5, 5); the model takes"),
        ({"images": IMAGES[:0]}, "no images in it"),
        ({"images": np.array([None, {}])}, "cannot be read as npz of numbers: "),
        ({"a": IMAGES, "b": IMAGES}, "holds 2 arrays; one"),
    ],
    ids=["fractions", "size", "empty", "objects", "two"],
)
def test_bad_npz(tmp_path, arrays, says):
    np.savez_compressed(path := tmp_path / "bad.npz", **arrays)
    assert says in refusal(path)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (frame().astype(float), "a pixel is no whole number 0…255"),
        (frame().astype(int) - 1, "a pixel is no whole number 0…255"),
        (frame().astype("Int64").mask(lambda x: x == 9), "cannot be read as Parquet: "),
        (frame().drop(columns="pixel9"), "19 pixel columns; the model takes"),
        (frame(IMAGES[:0]), "no images in it"),
    ],
    ids=["fractions", "negative", "empty cells", "too few", "empty"],
)
def test_bad_parquet(tmp_path, table, says):
    table.to_parquet(path := tmp_path / "i.parquet")
    assert says in refusal(path)


def test_damaged_parquet(tmp_path):
    path = tmp_path / "i.parquet"
    table = pa.Table.from_pandas(frame())
    pq.write_table(table, path, use_dictionary=False, write_page_checksum=True)
    content = bytearray(path.read_bytes())
    content[100:3000] = b"\xff" * 2900
    for damaged in (content[:5000], content):
        path.write_bytes(damaged)
        assert "cannot be read as Parquet: " in refusal(path)


def test_what_a_folder_has_beside_pictures_is_counted(tmp_path, capsys):
    Image.fromarray(IMAGES[0]).save(tmp_path / "a.png")
    for name in ("b.gif", ".hidden"):
        (tmp_path / name).touch()
    (tmp_path / "more").mkdir()
    assert len([*open_input(tmp_path, shape=SHAPE, fit="digit")]) == 1
    said = "left out, as no PNG, JPEG, WebP or BMP: 2 (b.gif, more)"
    assert capsys.readouterr().err == f"warning: {tmp_path}: {said}\n"


def test_other_paths(tmp_path):
    assert "not found" in refusal(tmp_path / "nowhere")
    assert "no images in it (folders in it are left out); .png" in refusal(tmp_path)
