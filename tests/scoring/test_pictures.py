"""Pictures in a model's form: as they are, as digits, plain; and what is no picture."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import finding, findings

from digits.core.errors import DataError
from digits.scoring.pictures import LARGE, normalise, read_pictures

SHAPE = (28, 28)
ROW = np.random.default_rng(1).integers(0, 256, SHAPE, dtype=np.uint8)  # full-frame, as in training
either = pytest.mark.parametrize("form", ["digit", "plain"])


def read_picture(path, *, shape=SHAPE, picture):
    [converted] = read_pictures([path], shape=shape, picture=picture)
    return converted


def digit(path):
    return read_picture(path, picture="digit").image


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
    found = digit(picture(stroke()))
    assert (found.shape, found.dtype) == (SHAPE, np.uint8)
    rows, columns = np.nonzero(found)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
    mass = found.sum()
    assert abs((found.sum(axis=1) @ np.arange(28)) / mass - 14) <= 0.5
    assert abs((found.sum(axis=0) @ np.arange(28)) / mass - 14) <= 0.5
    assert (found.min(), found.max()) == (0, 255)


@pytest.mark.parametrize(
    "pixels",
    [
        255 - stroke(),
        stroke(left=0),
        stroke(top=40),
        stroke(left=60, top=30),
        stroke(ink=120, paper=200),
        stroke().astype(np.uint16) * 257,
    ],
    ids=["dark on light", "left", "bottom", "right", "pale ink on grey paper", "16 bits"],
)
def test_contrast_place_and_depth_do_not_matter(picture, pixels):
    assert np.array_equal(digit(picture(pixels)), digit(picture(stroke())))


def test_the_size_hardly_matters(picture):
    small = digit(picture(stroke())).astype(int)
    large = np.kron(stroke(), np.ones((12, 12), np.uint8))
    assert np.abs(digit(picture(large)) - small).mean() < 6


@pytest.mark.parametrize(
    ("name", "options"), [("a.jpg", {"quality": 75}), ("a.JPEG", {}), ("a.txt", {"format": "PNG"})]
)
def test_the_content_counts_not_the_name(picture, name, options):
    found = digit(picture(stroke(), name, **options)).astype(int)
    assert np.abs(found - digit(picture(stroke()))).mean() < 6


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "LA", "1"])
def test_colour_modes_are_read(tmp_path, picture, mode):
    path = tmp_path / "mode.png"
    Image.fromarray(stroke()).convert(mode).save(path)
    assert np.array_equal(digit(path), digit(picture(stroke())))


@pytest.mark.parametrize("ink", [0, 255])
def test_ink_on_nothing_is_seen(tmp_path, picture, ink):
    path = tmp_path / "transparent.png"
    grey = Image.fromarray(np.full((100, 100), ink, np.uint8))
    Image.merge("LA", (grey, Image.fromarray(stroke()))).save(path)
    assert np.array_equal(digit(path), digit(picture(stroke())))


def test_a_photo_taken_with_the_camera_turned_is_read_upright(tmp_path, picture):
    path, exif = tmp_path / "turned.png", Image.Exif()
    exif[0x0112] = 6  # orientation: turn by a quarter, clockwise
    Image.fromarray(np.rot90(stroke())).save(path, exif=exif)
    assert np.array_equal(digit(path), digit(picture(stroke())))


@either
class TestOfTheModelsForm:
    """Such a picture is the model's input, whatever becomes of others."""

    @pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P"])
    def test_it_passes_untouched(self, tmp_path, mode, form):
        path = tmp_path / "a.png"
        Image.fromarray(ROW).convert(mode).save(path)
        assert_as_is(path, ROW, form)

    def test_a_jpeg_passes_as_it_decodes(self, tmp_path, form):
        path = tmp_path / "a.jpg"
        Image.fromarray(ROW).save(path)
        with Image.open(path) as decoded:
            assert_as_is(path, np.asarray(decoded), form)

    def test_a_blank_one_passes_as_it_does_in_an_array(self, picture, form):
        blank = np.full(SHAPE, 7, np.uint8)
        assert_as_is(picture(blank), blank, form)

    def test_one_taken_with_the_camera_turned_is_set_upright(self, picture, form):
        exif = Image.Exif()
        exif[0x0112] = 6  # orientation: turn by a quarter, clockwise
        assert_as_is(picture(np.rot90(ROW[:20]), exif=exif), ROW[:20], form)


def assert_as_is(path, pixels, form):
    read = read_picture(path, shape=pixels.shape, picture=form)
    assert np.array_equal(read.image, pixels)
    assert read.treatment == "as is"


@either
@pytest.mark.parametrize(
    "other",
    [
        Image.fromarray(ROW).resize((29, 28)),
        Image.fromarray(np.stack([ROW, ROW, 255 - ROW], axis=-1)),
        Image.fromarray(ROW.astype(np.uint16) * 257),
        Image.merge("LA", [Image.fromarray(ROW)] * 2),
        Image.fromarray(ROW).convert("CMYK"),
    ],
    ids=["another size", "colour", "16 bits", "transparent", "CMYK"],
)
def test_any_other_picture_is_brought_to_the_form_as_the_model_says(tmp_path, other, form):
    path = tmp_path / ("a.jpg" if other.mode == "CMYK" else "a.png")
    other.save(path)
    read = read_picture(path, picture=form)
    assert (read.image.shape, read.image.dtype, read.treatment) == (SHAPE, np.uint8, form)


class TestPlain:
    def test_the_whole_frame_and_its_grey_values_stay(self, picture):
        quarters = np.kron([[200, 40], [90, 120]], np.ones((60, 100))).astype(np.uint8)
        plain = read_picture(picture(quarters), shape=(4, 4), picture="plain").image
        assert plain[[0, 0, -1, -1], [0, -1, 0, -1]].tolist() == [200, 40, 90, 120]

    def test_what_shrinks_is_averaged(self, picture):
        board = (np.indices((280, 280)).sum(axis=0) % 2 * 255).astype(np.uint8)
        plain = read_picture(picture(board), picture="plain").image
        assert np.abs(plain.astype(int) - 127).max() <= 2


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
        (b"", "neither PNG nor JPEG"),
        (b"seven\n", "neither PNG nor JPEG"),
        (b"GIF89a" + bytes(100), "neither PNG nor JPEG"),
    ],
)
def test_what_is_no_picture_is_a_line(tmp_path, content, says):
    path = written(tmp_path / "seven.png", content)
    line = finding(DataError, lambda: digit(path))
    assert line.startswith(f"{path}: ")
    assert says in line


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_cut_off_picture_is_a_line(picture, name):
    whole = picture(np.random.default_rng(0).integers(0, 255, (80, 80), np.uint8), name)
    path = written(whole, whole.read_bytes()[:-2000])
    assert "cannot be read as an image" in finding(DataError, lambda: digit(path))


@pytest.mark.parametrize(("side", "says"), [(6325, "40 megapixels"), (14000, "megapixels")])
def test_a_huge_picture_is_refused_before_it_is_decoded(tmp_path, side, says):
    path = tmp_path / "huge.png"
    Image.new("1", (side, side)).save(path)
    line = finding(DataError, lambda: digit(path))
    assert says in line
    assert "25" in line


def test_blank_and_missing_pictures_are_lines(tmp_path, picture):
    blank = picture(np.full((50, 50), 200, np.uint8))
    assert "blank" in finding(DataError, lambda: digit(blank))
    missing = tmp_path / "nowhere.png"
    assert "No such file" in finding(DataError, lambda: digit(missing))


def test_every_bad_picture_is_named(tmp_path, picture):
    bad = [written(tmp_path / f"{i}.png", b"") for i in range(2)]
    paths = [picture(stroke()), *bad]
    assert len(findings(DataError, lambda: read_pictures(paths, shape=SHAPE, picture="digit"))) == 2


@pytest.mark.parametrize("mode", ["L", "1", "P", "I;16"])
@pytest.mark.parametrize("size", [(1, 2 * LARGE + 4), (2500, 2000)])
def test_large_picture_is_read(tmp_path, mode, size):
    path = tmp_path / "large.png"
    Image.new("I;16" if mode == "I;16" else "L", size).convert(mode).save(path)
    assert read_picture(path, picture="plain").image.max() == 0


def test_large_photo_keeps_its_greys(tmp_path):
    quarters = np.kron([[200, 40], [90, 120]], np.ones((1500, 1500))).astype(np.uint8)
    Image.fromarray(quarters).save(path := tmp_path / "photo.jpg")
    plain = read_picture(path, shape=(4, 4), picture="plain").image
    corners = plain[[0, 0, -1, -1], [0, -1, 0, -1]].astype(int)
    assert np.abs(corners - [200, 40, 90, 120]).max() <= 2
