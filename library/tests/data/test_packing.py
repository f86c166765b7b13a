"""Raw data packed: what forms images are brought to, what is known of each, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from helpers import finding, pack_data, pack_warnings
from numpy.testing import assert_array_equal
from PIL import Image

from imageproof.base._dataset import Dataset, ImageParams, fingerprints
from imageproof.base.errors import DataError
from imageproof.data import _sources, packed, packing

RED = (255, 0, 0)
BLUE = (0, 0, 255)
GREY = (9, 9, 9)
NOISE = np.random.default_rng(0).integers(0, 256, (40, 4, 4, 3), np.uint8)

pytestmark = pytest.mark.usefixtures("workspace")


def save_array(images, labels, **arrays):
    Path("data").mkdir()
    np.savez("data/images.npz", x_train=images, y_train=labels, **arrays)


def save_picture(name, image, **options):
    path = Path("data", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)


def hashes():
    return packed.load_hashes(Path("packed")).tolist()


def fault(**options):
    return finding(DataError, pack_data, **options)


@pytest.fixture
def pictures(workspace):
    """A red cat of 4×6 pixels, and a blue one and a grey dog of 6×6, in folders."""
    save_picture("cat/1.png", Image.new("RGB", (6, 4), RED))
    save_picture("cat/2.png", Image.new("RGB", (6, 6), BLUE))
    save_picture("dog/1.png", Image.new("L", (6, 6), 9))


def test_arrays_stay_as_they_are(images_8x8):
    images = images_8x8.images[:100]
    labels = images_8x8.labels[:100]
    save_array(images[:90], labels[:90], x_test=images[90:], y_test=labels[90:])
    result = pack_data(fit="digit")
    assert_array_equal(result.images, images)
    assert_array_equal(result.rows["label"], labels)
    row = ["test", 1, "row 1", "grey", round(images[91].mean(), 2)]
    assert result.rows.loc[91, ["part", "row", "name", "mode", "mean_ink"]].tolist() == row
    ranks = np.unique(fingerprints(images), return_inverse=True)[1] + 1
    assert_array_equal(result.rows["hash"], ranks)


def test_arrays_of_colour_and_their_pictures_have_the_same_hashes():
    save_array(NOISE[:2], [0, 1])
    assert_array_equal(pack_data().images, NOISE[:2])
    assert pack_data(channels="grey", size=[2, 3]).images.shape == (2, 2, 3)
    hashes_of_arrays = hashes()
    Path("data/images.npz").unlink()
    for name, pixels in zip(("cat/1.png", "dog/1.png"), NOISE, strict=False):
        save_picture(name, Image.fromarray(pixels))
    pack_data(size=[2, 2])
    assert hashes() == hashes_of_arrays


def test_pictures_are_brought_to_one_form(pictures):
    result = pack_data(size=[4, 4])
    assert len({*hashes()}) == 3
    assert result.images.tolist() == [[[[*colour]] * 4] * 4 for colour in (RED, BLUE, GREY)]
    rows = result.rows[["label", "name", "height", "width", "mode"]].to_numpy().tolist()
    assert rows[0] == [0, "cat/1.png", 4, 6, "colour"]
    assert rows[2] == [1, "dog/1.png", 6, 6, "grey"]


def test_the_size_of_all_pictures_is_taken_if_it_is_one(pictures):
    assert fault().startswith("data: pictures of 2 sizes (6×6: 2, 4×6: 1); set data.image.size: ")
    Path("data/cat/1.png").unlink()
    assert pack_data().images.shape == (2, 6, 6, 3)


def test_a_contradiction_to_params_is_one_line(pictures):
    for changes, message in (
        ({"classes": 3}, "2 classes (cat, dog), data.classes is 3; `imageproof adapt` says what"),
        ({"names": ["cat", "bird"]}, "cat, dog; no bird of data.class_names; "),
        ({"fit": "digit"}, "has colour, data.image.fit is digit; "),
    ):
        assert fault(size=[4, 4], **changes).startswith(f"data: {message}")


def test_a_picture_that_cannot_be_read_is_a_fault_of_its_row(pictures):
    Path("data/dog/cut.png").write_bytes(b"\x89PNG\r\n")
    images, rows = pack_data(size=[4, 4])
    for values in (rows["fault"].isna(), rows["mean_ink"].notna(), images.any(axis=(1, 2, 3))):
        assert values.tolist() == [True] * 3 + [False]
    assert hashes()[3] == ""
    for path in Path("data").glob("*/*.png"):
        path.write_bytes(b"")
    assert fault() == "data: no picture can be read, of 4"


def test_padded_colours_among_transparent_pictures_are_a_warning(pictures):
    save_picture("dog/2.png", Image.new("RGBA", (6, 4)))
    [warning] = pack_warnings(size=[6, 6], fit="pad")
    assert "around 1 transparent pictures, other colours around 1 opaque ones" in warning
    Path("data/cat/1.png").unlink()  # the others have the sides of the form
    assert pack_warnings(size=[6, 6], fit="pad") == []


def test_many_pictures_are_read_by_several_processes_in_their_order(monkeypatch):
    monkeypatch.setattr(_sources, "FEW_BYTES", 0)
    for number, pixels in enumerate(NOISE):
        save_picture(f"{number % 2}/{number:05}.png", Image.fromarray(pixels))
    expected = np.concatenate([NOISE[::2], NOISE[1::2]])
    assert_array_equal(pack_data().images, expected)


def test_reader_of_project_takes_the_place_of_ours(images_8x8):
    form = ImageParams(size="auto", channels="auto", fit="stretch")
    images, labels = images_8x8.images, images_8x8.labels

    def pack(data):
        packing.pack(Path(), Path(), form, 10, None, read=lambda _: packing.RawData(data, None))

    pack(images_8x8)
    assert_array_equal(packed.load(Path()).images, images)
    wrong = {"uint8 (n, height, width) or": images / 255, "groups of the project's own": images}
    for words, values in wrong.items():
        assert words in finding(DataError, pack, Dataset(values, labels, labels))


def test_hash_of_photograph_is_of_its_own_size():
    pixels = np.kron(NOISE[0], np.ones((16, 16, 1), np.uint8))
    for name, value in (("cat/1.jpg", 90), ("dog/1.jpg", 99)):
        pixels[1, 1] = value  # lost where it is decoded at an eighth
        save_picture(name, Image.fromarray(pixels), quality=100, subsampling=0)
    assert pack_data(size=[4, 4]).rows["hash"].nunique() == 1
    assert len({*hashes()}) == 2
