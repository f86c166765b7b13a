"""Raw data packed: what forms images are brought to, what is known of each, and what is refused."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import finding, pack_folder
from PIL import Image

from imageproof.base.dataset import Dataset, ImageParams, RawData, fingerprints
from imageproof.base.errors import DataError
from imageproof.data import packed, packing, parallel

RED, BLUE = (255, 0, 0), (0, 0, 255)


def save(folder: Path, arrays: dict[str, Any]) -> None:
    (folder / "data").mkdir()
    np.savez(folder / "data/images.npz", **arrays)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A red cat of 4×6 pixels, and a blue one and a grey dog of 6×6, in folders."""
    for name, size, colour in (
        ("cat/1", (6, 4), RED),
        ("cat/2", (6, 6), BLUE),
        ("dog/1", (6, 6), 9),
    ):
        path = tmp_path / f"data/{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB" if isinstance(colour, tuple) else "L", size, colour).save(path)
    return tmp_path


def test_arrays_stay_as_they_are(tmp_path: Path, images_8x8: Dataset) -> None:
    images, labels = images_8x8.images, images_8x8.labels
    save(tmp_path, {"x_train": images[:90], "y_train": labels[:90],
                    "x_test": images[90:100], "y_test": labels[90:100]})  # fmt: skip
    result = pack_folder(tmp_path, fit="digit")
    np.testing.assert_array_equal(result.images, images[:100])
    np.testing.assert_array_equal(result.part("test").images, images[90:100])
    np.testing.assert_array_equal(result.part("test").labels, labels[90:100])
    assert result.rows.iloc[91][["part", "row", "name", "mode"]].tolist() == [
        "test",
        1,
        "row 1",
        "grey",
    ]
    assert result.rows["mean_ink"].iloc[5] == round(images[5].mean(), 2)
    assert result.part("none").images.shape == (0, 8, 8)
    _, same = np.unique(fingerprints(images[:100]), return_inverse=True)
    np.testing.assert_array_equal(result.rows["hash"], same + 1)


def test_full_disk_is_no_damaged_npz(tmp_path: Path, disk: Path) -> None:
    labels = np.arange(100) % 2
    save(tmp_path, {"x_train": np.zeros((100, 32, 32), np.uint8), "y_train": labels})
    (tmp_path / "packed").symlink_to(disk)
    with pytest.raises(OSError, match="No space left on device") as raised:
        pack_folder(tmp_path)
    assert raised.value.filename == str(tmp_path / "packed")


def test_arrays_of_colour(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 3), np.uint8)
    save(tmp_path, {"x_train": images, "y_train": [0, 1, 0, 1, 1]})
    np.testing.assert_array_equal(pack_folder(tmp_path).images, images)
    assert pack_folder(tmp_path, channels="grey", size=[2, 3]).images.shape == (5, 2, 3)


def test_pictures_are_brought_to_one_form(pictures: Path) -> None:
    result = pack_folder(pictures, size=[4, 4])
    assert result.images.tolist() == [[[[*colour]] * 4] * 4 for colour in (RED, BLUE, (9, 9, 9))]
    columns = result.rows[["label", "name", "height", "width", "mode"]].to_numpy().tolist()
    assert columns == [
        [0, "cat/1.png", 4, 6, "colour"],
        [0, "cat/2.png", 6, 6, "colour"],
        [1, "dog/1.png", 6, 6, "grey"],
    ]
    assert packed.load_summary(pictures / "packed")["class_names"] == ["cat", "dog"]
    assert pack_folder(pictures, size=[4, 4], channels="grey").images.shape == (3, 4, 4)


def test_the_size_of_all_pictures_is_taken_if_it_is_one(pictures: Path) -> None:
    sizes = "pictures of 2 sizes (6×6: 2, 4×6: 1); set data.image.size: [height, width]"
    line = finding(DataError, lambda: pack_folder(pictures))
    assert line == f"{pictures}/data: {sizes}; `imageproof adapt` says what fits"
    (pictures / "data/cat/1.png").unlink()
    assert pack_folder(pictures).images.shape == (2, 6, 6, 3)


@pytest.mark.parametrize(
    ("names", "labels", "titles"),
    [
        (None, [0, 0, 1], ["cat", "dog"]),
        (["dog", "cat"], [1, 1, 0], ["dog", "cat"]),
        (["Katze", "Hund"], [0, 0, 1], ["Katze", "Hund"]),
    ],
)
def test_params_order_or_rename_the_classes(
    pictures: Path, names: list[str] | None, labels: list[int], titles: list[str]
) -> None:
    assert pack_folder(pictures, names, size=[4, 4]).rows["label"].tolist() == labels
    assert packed.load_summary(pictures / "packed")["class_names"] == titles


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": 3}, "2 classes (cat, dog), data.classes is 3; set it to 2"),
        ({"names": ["cat", "bird"]}, "cat, dog; no bird of data.class_names; name all classes as "),
        (
            {"fit": "digit"},
            "has colour, data.image.fit is digit; set channels: grey, or another",
        ),
    ],
)
def test_a_contradiction_to_params_is_one_line(
    pictures: Path, changes: dict[str, Any], message: str
) -> None:
    assert message in finding(DataError, lambda: pack_folder(pictures, size=[4, 4], **changes))


def test_a_picture_that_cannot_be_read_is_a_fault_of_its_row(pictures: Path) -> None:
    whole = (pictures / "data/cat/2.png").read_bytes()
    for name, content in {"cut": whole[:45], "empty": b"", "text": b"no picture"}.items():
        (pictures / f"data/dog/{name}.png").write_bytes(content)
    result = pack_folder(pictures, size=[4, 4])
    assert result.rows["fault"].notna().tolist() == [False] * 3 + [True] * 3
    assert result.rows["mean_ink"].isna().tolist() == [False] * 3 + [True] * 3
    assert not result.images[3:].any()
    for path in (pictures / "data").rglob("*.png"):
        path.write_bytes(b"")
    assert finding(DataError, lambda: pack_folder(pictures)).endswith(
        "none of 6 pictures can be read"
    )


def test_transparent_pictures_among_other_backgrounds_are_told(pictures: Path) -> None:
    form = ImageParams(size=[6, 6], channels="auto", fit="pad")
    make = partial(packing.pack, pictures / "data", pictures / "packed", form, 2, None)
    assert make()[2] == []
    Image.new("RGBA", (6, 6)).save(pictures / "data/dog/2.png")
    [warning] = make()[2]
    assert warning == (
        "data.image.fit: pad has white behind and around 1 transparent pictures, other colours "
        "around 1 opaque ones: a model may tell them apart by that"
    )
    (pictures / "data/cat/1.png").unlink()
    assert make()[2] == []


def test_one_class_is_refused(pictures: Path) -> None:
    (pictures / "data/dog/1.png").unlink()
    line = finding(DataError, lambda: pack_folder(pictures))
    assert "1 classes (cat), data.classes is 2; at least two are needed; " in line


def test_many_pictures_are_read_by_several_processes_in_their_order(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (parallel.FEW + 10, 2, 2), np.uint8)
    for number, pixels in enumerate(values):
        path = tmp_path / f"data/{number % 2}/{number:05}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    expected = np.concatenate([values[::2], values[1::2]])
    np.testing.assert_array_equal(pack_folder(tmp_path).images, expected)


def test_rows_of_other_images_are_one_line(pictures: Path) -> None:
    pack_folder(pictures, size=[4, 4])
    np.save(pictures / "packed" / packed.IMAGES, np.zeros((2, 4, 4, 3), np.uint8))
    line = finding(DataError, lambda: packed.load(pictures / "packed"))
    assert line.endswith("images.npy is no uint8 (n, …) of the 3 rows in rows.parquet")


def test_damaged_file_is_one_line(pictures: Path) -> None:
    pack_folder(pictures, size=[4, 4])
    path = pictures / "packed" / packed.ROWS
    path.write_bytes(path.read_bytes()[:-20])
    line = finding(DataError, lambda: packed.load(pictures / "packed"))
    assert line.startswith(f"{pictures}/packed: cannot be read as packed images: ")


def test_reader_of_project_takes_the_place_of_ours(tmp_path: Path, images_8x8: Dataset) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/images.raw").write_bytes(images_8x8.images.tobytes())

    def read(folder: Path) -> RawData:
        values = np.fromfile(folder / "images.raw", np.uint8)
        return RawData(Dataset(values.reshape(-1, 8, 8), images_8x8.labels), None)

    form = ImageParams(size="auto", channels="auto", fit="stretch")
    packing.pack(tmp_path / "data", tmp_path / "out", form, 10, None, read=read)
    images, rows = packed.load(tmp_path / "out")
    assert np.array_equal(images, images_8x8.images)
    assert rows["label"].tolist() == images_8x8.labels.tolist()


def test_hash_of_row_stays_when_form_and_file_change(pictures: Path) -> None:
    pack_folder(pictures, size=[4, 4])
    hashes = packed.load_hashes(pictures / "packed")
    assert hashes.is_unique
    with Image.open(pictures / "data/cat/1.png") as image:
        image.save(pictures / "data/cat/1.png", optimize=True, dpi=(300, 300))
    (pictures / "data/cat/2.png").rename(pictures / "data/cat/3.png")
    pack_folder(pictures, size=[3, 5], channels="grey", fit="crop")
    assert packed.load_hashes(pictures / "packed").tolist() == hashes.tolist()


def test_hash_of_photograph_is_of_its_own_size(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for name, value in (("cat/1.jpg", 90), ("dog/1.jpg", 99)):
        pixels[1, 1] = value  # lost where it is decoded at an eighth
        (tmp_path / "data" / name).parent.mkdir(parents=True)
        Image.fromarray(pixels).save(tmp_path / "data" / name, quality=100, subsampling=0)
    assert pack_folder(tmp_path, size=[4, 4]).rows["hash"].nunique() == 1
    assert packed.load_hashes(tmp_path / "packed").nunique() == 2


def test_row_of_array_and_its_picture_have_one_hash(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (2, 4, 4), np.uint8)
    save(tmp_path, {"x_train": values, "y_train": [0, 1]})
    pack_folder(tmp_path)
    hashes = packed.load_hashes(tmp_path / "packed").tolist()
    (tmp_path / "data/images.npz").unlink()
    for number, name in enumerate(("cat/1.png", "dog/1.png")):
        (tmp_path / "data" / name).parent.mkdir()
        Image.fromarray(values[number]).save(tmp_path / "data" / name)
    pack_folder(tmp_path, size=[2, 2])
    assert packed.load_hashes(tmp_path / "packed").tolist() == hashes
