"""Pictures of digits in MNIST's form: any size, either contrast, and what is no picture."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import finding, findings

from digits.errors import DataError
from digits.images import normalise, read_digit
from digits.prediction import answers, read_digits

SHAPE = (28, 28)


def stroke(side=100, *, left=20, top=10, ink=255, paper=0):
    """A slanted bar with a foot: not symmetric, so that a flip would show."""
    image = np.full((side, side), paper, dtype=np.uint8)
    image[top : top + 60, left : left + 12] = ink
    image[top + 48 : top + 60, left : left + 40] = ink
    return image


@pytest.fixture
def picture(tmp_path):
    def write(pixels, name="digit.png", **options):
        path = tmp_path / name
        Image.fromarray(pixels).save(path, **options)
        return path

    return write


def test_the_form_is_mnists(picture):
    digit = read_digit(picture(stroke()), shape=SHAPE)
    assert (digit.shape, digit.dtype) == (SHAPE, np.uint8)
    rows, columns = np.nonzero(digit)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
    mass = digit.sum()
    assert abs((digit.sum(axis=1) @ np.arange(28)) / mass - 14) <= 0.5
    assert abs((digit.sum(axis=0) @ np.arange(28)) / mass - 14) <= 0.5
    assert (digit.min(), digit.max()) == (0, 255)


def test_dark_on_light_and_light_on_dark_are_one(picture):
    light = read_digit(picture(stroke()), shape=SHAPE)
    dark = read_digit(picture(255 - stroke()), shape=SHAPE)
    assert np.array_equal(light, dark)


@pytest.mark.parametrize("place", [{"left": 0}, {"top": 40}, {"left": 60, "top": 30}])
def test_the_place_on_the_page_does_not_matter(picture, place):
    there = read_digit(picture(stroke(**place)), shape=SHAPE)
    assert np.array_equal(there, read_digit(picture(stroke()), shape=SHAPE))


def test_the_size_hardly_matters(picture):
    small = read_digit(picture(stroke()), shape=SHAPE).astype(int)
    large = np.kron(stroke(), np.ones((12, 12), np.uint8))
    assert np.abs(read_digit(picture(large), shape=SHAPE) - small).mean() < 6


def test_pale_ink_on_grey_paper_becomes_black_on_white(picture):
    pale = read_digit(picture(stroke(ink=120, paper=200)), shape=SHAPE)
    assert np.array_equal(pale, read_digit(picture(stroke()), shape=SHAPE))


@pytest.mark.parametrize(
    ("name", "options"), [("a.jpg", {"quality": 75}), ("a.JPEG", {}), ("a.txt", {"format": "PNG"})]
)
def test_the_content_counts_not_the_name(picture, name, options):
    found = read_digit(picture(stroke(), name, **options), shape=SHAPE).astype(int)
    assert np.abs(found - read_digit(picture(stroke()), shape=SHAPE)).mean() < 6


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "LA", "1"])
def test_colour_modes_are_read(tmp_path, picture, mode):
    path = tmp_path / "mode.png"
    Image.fromarray(stroke()).convert(mode).save(path)
    assert np.array_equal(read_digit(path, shape=SHAPE), read_digit(picture(stroke()), shape=SHAPE))


@pytest.mark.parametrize("ink", [0, 255])
def test_ink_on_nothing_is_seen(tmp_path, picture, ink):
    path = tmp_path / "transparent.png"
    grey = Image.fromarray(np.full((100, 100), ink, np.uint8))
    Image.merge("LA", (grey, Image.fromarray(stroke()))).save(path)
    assert np.array_equal(read_digit(path, shape=SHAPE), read_digit(picture(stroke()), shape=SHAPE))


def test_a_photo_taken_with_the_camera_turned_is_read_upright(tmp_path, picture):
    path, exif = tmp_path / "turned.png", Image.Exif()
    exif[0x0112] = 6  # orientation: turn by a quarter, clockwise
    Image.fromarray(np.rot90(stroke())).save(path, exif=exif)
    assert np.array_equal(read_digit(path, shape=SHAPE), read_digit(picture(stroke()), shape=SHAPE))


def test_sixteen_bits_are_read(picture):
    deep = read_digit(picture(stroke().astype(np.uint16) * 257), shape=SHAPE)
    assert np.array_equal(deep, read_digit(picture(stroke()), shape=SHAPE))


def test_a_picture_already_in_the_form_stays_nearly_as_it_is():
    once = normalise(stroke().astype(float), shape=SHAPE)
    again = normalise(once.astype(float), shape=SHAPE).astype(int)
    assert np.abs(again - once).mean() < 0.5


def test_other_image_sizes_keep_the_proportion():
    digit = normalise(stroke().astype(float), shape=(8, 8))
    assert digit.shape == (8, 8)
    assert np.ptp(np.nonzero(digit)[0]) + 1 == 6


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "0 bytes long"),
        (b"seven\n", "neither PNG nor JPEG"),
        (b"GIF89a" + bytes(100), "neither PNG nor JPEG"),
        (b"\x89PNG\r\n\x1a\n", "neither PNG nor JPEG"),
    ],
)
def test_what_is_no_picture_is_a_line(tmp_path, content, says):
    path = written(tmp_path / "seven.png", content)
    line = finding(DataError, lambda: read_digit(path, shape=SHAPE))
    assert line.startswith(f"{path}: ")
    assert says in line


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_cut_off_picture_is_a_line(picture, name):
    whole = picture(np.random.default_rng(0).integers(0, 255, (80, 80), np.uint8), name)
    path = written(whole, whole.read_bytes()[:-2000])
    assert "cannot be read as an image" in finding(DataError, lambda: read_digit(path, shape=SHAPE))


@pytest.mark.parametrize(("side", "says"), [(6325, "40 megapixels"), (14000, "megapixels")])
def test_a_huge_picture_is_refused_before_it_is_decoded(tmp_path, side, says):
    path = tmp_path / "huge.png"
    Image.new("1", (side, side)).save(path)
    line = finding(DataError, lambda: read_digit(path, shape=SHAPE))
    assert says in line
    assert "25" in line


def test_blank_and_missing_pictures_are_lines(tmp_path, picture):
    blank = picture(np.full((50, 50), 200, np.uint8))
    assert "blank" in finding(DataError, lambda: read_digit(blank, shape=SHAPE))
    missing = tmp_path / "nowhere.png"
    assert "not found" in finding(DataError, lambda: read_digit(missing, shape=SHAPE))


def test_every_bad_picture_is_named(tmp_path, picture):
    bad = [written(tmp_path / f"{i}.png", b"") for i in range(2)]
    paths = [picture(stroke()), *bad]
    assert len(findings(DataError, lambda: read_digits(paths, shape=SHAPE))) == 2


def test_an_answer_names_class_and_probabilities():
    [answer] = answers([Path("a.png")], np.array([[0.25, 0.75]], np.float32))
    assert answer == ("a.png", 1, [0.25, 0.75])
