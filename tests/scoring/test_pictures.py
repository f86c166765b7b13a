"""Pictures in a model's form: as they are, as digits, plain; and what is no picture."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import finding, findings

from digits.toolkit.errors import DataError
from digits.toolkit.pictures import normalise, read_pictures

SHAPE = (28, 28)
ROW = np.random.default_rng(1).integers(0, 256, SHAPE, dtype=np.uint8)  # full-frame, as in training
either = pytest.mark.parametrize("form", ["digit", "plain"])


def read_picture(path, *, shape=SHAPE, picture):
    [converted] = read_pictures([path], shape=shape, picture=picture)
    return converted


def digit(path):
    return read_picture(path, picture="digit")[0]


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


def test_digit_is_cropped_and_centred(picture):
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
        stroke(left=60, top=30),
        stroke(ink=120, paper=200),
        stroke().astype(np.uint16) * 257,
    ],
    ids=["dark on light", "left", "right", "pale ink on grey paper", "16 bits"],
)
def test_contrast_place_and_depth(picture, pixels):
    assert np.array_equal(digit(picture(pixels)), digit(picture(stroke())))


def test_size_and_jpeg(picture):
    small = digit(picture(stroke())).astype(int)
    large = np.kron(stroke(), np.ones((12, 12), np.uint8))
    assert np.abs(digit(picture(large)) - small).mean() < 6
    assert np.abs(digit(picture(stroke(), "a.JPEG")) - small).mean() < 6


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "LA", "1"])
def test_colour_modes(tmp_path, picture, mode):
    path = tmp_path / "mode.png"
    Image.fromarray(stroke()).convert(mode).save(path)
    assert np.array_equal(digit(path), digit(picture(stroke())))


@pytest.mark.parametrize("ink", [0, 255])
def test_transparent_paper(tmp_path, picture, ink):
    path = tmp_path / "transparent.png"
    grey = Image.fromarray(np.full((100, 100), ink, np.uint8))
    Image.merge("LA", (grey, Image.fromarray(stroke()))).save(path)
    assert np.array_equal(digit(path), digit(picture(stroke())))


def assert_as_is(path, pixels, form="digit"):
    image, treatment = read_picture(path, shape=pixels.shape, picture=form)
    assert np.array_equal(image, pixels)
    assert treatment == "as is"


@either
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P"])
def test_grey_of_the_models_size_is_untouched(tmp_path, mode, form):
    path = tmp_path / "a.png"
    Image.fromarray(ROW).convert(mode).save(path)
    assert_as_is(path, ROW, form)


def test_jpeg_and_blank_of_the_models_size(picture):
    path = picture(ROW, "a.jpg")
    with Image.open(path) as decoded:
        assert_as_is(path, np.asarray(decoded))
    blank = np.full(SHAPE, 7, np.uint8)
    assert_as_is(picture(blank), blank)


def test_exif_orientation(picture):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter, clockwise
    assert np.array_equal(digit(picture(np.rot90(stroke()), exif=exif)), digit(picture(stroke())))
    assert_as_is(picture(np.rot90(ROW[:20]), exif=exif), ROW[:20])


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
def test_others_are_converted(tmp_path, other, form):
    path = tmp_path / ("a.jpg" if other.mode == "CMYK" else "a.png")
    other.save(path)
    image, treatment = read_picture(path, picture=form)
    assert (image.shape, image.dtype, treatment) == (SHAPE, np.uint8, form)


def test_plain_averages_what_shrinks(picture):
    board = (np.indices((280, 280)).sum(axis=0) % 2 * 255).astype(np.uint8)
    plain = read_picture(picture(board), picture="plain")[0]
    assert np.abs(plain.astype(int) - 127).max() <= 2


def test_other_image_sizes_keep_the_proportion():
    digit = normalise(stroke().astype(float), shape=(8, 8))
    assert digit.shape == (8, 8)
    assert np.ptp(np.nonzero(digit)[0]) + 1 == 6


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_no_picture(tmp_path):
    for content in (b"", b"seven\n", b"GIF89a" + bytes(100)):
        path = written(tmp_path / "seven.png", content)
        line = finding(DataError, lambda: digit(path))  # noqa: B023
        assert line.startswith(f"{path}: neither PNG nor JPEG")


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_truncated_picture(picture, name):
    whole = picture(np.random.default_rng(0).integers(0, 255, (80, 80), np.uint8), name)
    path = written(whole, whole.read_bytes()[:-2000])
    assert "cannot be read as an image" in finding(DataError, lambda: digit(path))


@pytest.mark.parametrize("side", [6325, 14000])
def test_huge_picture_is_not_decoded(tmp_path, side):
    path = tmp_path / "huge.png"
    Image.new("1", (side, side)).save(path)
    assert "pixels" in finding(DataError, lambda: digit(path))


def test_every_bad_picture_is_named(tmp_path, picture):
    blank = picture(np.full((50, 50), 200, np.uint8), "blank.png")
    paths = [picture(stroke()), blank, written(tmp_path / "empty.png", b""), tmp_path / "nowhere"]
    lines = findings(DataError, lambda: read_pictures(paths, shape=SHAPE, picture="digit"))
    for line, says in zip(lines, ("blank, ", "neither PNG", "No such file"), strict=True):
        assert says in line


@pytest.mark.parametrize("mode", ["L", "1", "P", "I;16"])
def test_large_picture(tmp_path, mode):
    path = tmp_path / "large.png"
    Image.new("I;16" if mode == "I;16" else "L", (1, 2052)).convert(mode).save(path)
    assert read_picture(path, picture="plain")[0].max() == 0


def test_large_photo_keeps_its_greys(tmp_path):
    quarters = np.kron([[200, 40], [90, 120]], np.ones((1500, 1500))).astype(np.uint8)
    Image.fromarray(quarters).save(path := tmp_path / "photo.jpg")
    plain = read_picture(path, shape=(4, 4), picture="plain")[0]
    corners = plain[[0, 0, -1, -1], [0, -1, 0, -1]].astype(int)
    assert np.abs(corners - [200, 40, 90, 120]).max() <= 2
