"""Pictures in a model's form: as they are, as handwriting, resampled; and what is no picture."""

import os
import struct
import zlib

import numpy as np
import pytest
from helpers import finding, findings
from PIL import Image
from PIL.ExifTags import Base
from pydantic import ValidationError
from scipy.ndimage import center_of_mass

from imageproof.base._dataset import ImageParams
from imageproof.base.errors import DataError
from imageproof.pictures._conversion import convert_picture
from imageproof.pictures._reading import (
    MAX_PIXELS,
    SUFFIXES,
    probe,
    read_and_hash,
    read_picture,
    read_pictures,
)

RANDOM = np.random.default_rng(1)
GREY = (28, 28)
RGB = (28, 28, 3)
ROW = RANDOM.integers(0, 256, GREY, dtype=np.uint8)  # full-frame, as in training
COLOUR = RANDOM.integers(0, 256, RGB, dtype=np.uint8)
DEEP = np.uint16(257)  # times 8 bits is 16
GREEN = (10, 200, 90)

each_format = pytest.mark.parametrize("suffix", SUFFIXES)


@pytest.fixture
def save(tmp_path):
    def write(image, name="a.png", **options):
        image = image if isinstance(image, Image.Image) else Image.fromarray(image)
        image.save(tmp_path / name, **options)
        return tmp_path / name

    return write


def turned(orientation):
    exif = Image.Exif()
    exif[Base.Orientation] = orientation
    return exif


def read(path, shape=GREY, fit="digit"):
    [picture] = read_pictures([path], shape=shape, fit=fit)
    return picture


def refusals(path):
    """Why the header of a file is refused, and why its pixels are."""
    header = finding(DataError, probe, path)
    pixels = finding(DataError, read_picture, path, shape=GREY, fit="digit")
    return header, pixels


def convert(image, shape=RGB, fit="stretch"):
    pixels, treatment = convert_picture(image, shape=shape, fit=fit)
    assert (pixels.shape, pixels.dtype, treatment) == (shape, np.uint8, fit)
    return pixels.astype(int)


def stroke(side=100, *, left=20, top=10, ink=255, paper=0):
    """A slanted bar with a foot: not symmetric, so that a flip would show."""
    image = np.full((side, side), paper, dtype=np.uint8)
    image[top : top + 60, left : left + 12] = ink
    image[top + 48 : top + 60, left : left + 40] = ink
    return image


SHAPE = Image.fromarray(stroke())
DIGIT = convert_picture(SHAPE, shape=GREY, fit="digit")[0]


def test_digit_is_cropped_and_centred():
    assert (DIGIT.shape, DIGIT.dtype) == (GREY, np.uint8)
    places = np.nonzero(DIGIT)
    assert max(map(np.ptp, places)) + 1 == 20
    assert center_of_mass(DIGIT) == pytest.approx((14, 14), abs=0.5)
    assert (DIGIT.min(), DIGIT.max()) == (0, 255)


@pytest.mark.parametrize(
    "image",
    [
        255 - stroke(),
        stroke(left=0),
        stroke(left=60, top=30),
        stroke(ink=120, paper=200),
        stroke() * DEEP,
        *map(SHAPE.convert, ("RGB", "RGBA", "P", "LA", "1")),
        *(Image.merge("LA", [Image.new("L", (100, 100), ink), SHAPE]) for ink in (0, 255)),
    ],
)
def test_digit_is_the_same_however_drawn_and_stored(save, image):
    assert np.array_equal(read(save(image))[0], DIGIT)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "1"])
def test_picture_of_the_models_size_is_untouched(save, mode):
    for pixels, kind, fit in ((ROW, "L", "digit"), (ROW, "L", "stretch"), (COLOUR, "RGB", "crop")):
        image = Image.fromarray(pixels).convert(mode)
        converted, treatment = read(save(image), shape=pixels.shape, fit=fit)
        assert treatment == "as is"
        assert np.array_equal(converted, image.convert(kind))


def test_fingerprint_is_that_of_the_pixels_in_any_format(save):
    grey = Image.fromarray(ROW)
    opacity = np.where(ROW < 128, 0, ROW)[..., None]
    veiled = np.concatenate([COLOUR, opacity], axis=2)
    forms = [
        [grey, *map(grey.convert, ("RGB", "RGBA", "LA", "P")), ROW * DEEP],
        [veiled, np.where(opacity, veiled, [255, 0, 0, 0]).astype(np.uint8)],
    ]
    digests = []
    for images in forms:
        paths = [save(image, f"{number}.png") for number, image in enumerate(images)]
        paths.append(save(images[0], "a.webp", lossless=True))
        [digest] = {read_and_hash(path, shape=GREY, fit="stretch")[1] for path in paths}
        digests.append(digest)
    assert digests[0] != digests[1]


def test_exif_orientation(save):
    path = save(np.rot90(ROW[:20]), exif=turned(6))  # by a quarter, clockwise
    assert np.array_equal(read(path, shape=(20, 28))[0], ROW[:20])


def test_fit_of_another_proportion():
    halves = np.array([[[200, 10, 30], [20, 180, 90]]], np.uint8)
    bars = Image.fromarray(np.kron(halves, np.ones((20, 20, 1), np.uint8)))  # 20×40
    stretched, cropped = (convert(bars, shape=(20, 20, 3), fit=fit) for fit in ("stretch", "crop"))
    assert (cropped == np.repeat(halves, 10, axis=1)).all()
    assert (stretched[:, [0, -1]] == halves).all()


@pytest.mark.parametrize(("background", "fill"), [(GREEN, GREEN), ((0,) * 4, (255,) * 3)])
def test_pad_continues_the_background(background, fill):
    image = Image.new("RGBA", (40, 20), background)
    image.paste((90, 90, 90, 255), (10, 5, 30, 15))
    padded = convert(image, shape=(20, 20, 3), fit="pad")
    assert (padded[[0, 5, 14, 19]] == fill).all()
    assert (padded[10, 10] == 90).all()


def test_colours_of_modes_and_depths(save):
    half = Image.new("RGBA", (20, 20), (0, 100, 200, 128))  # mixed with white
    for shape in (RGB, (20, 20, 3)):  # of another size, and of the model's
        assert np.abs(convert(half, shape) - [127, 177, 227]).max() <= 1
    palette = Image.new("RGBA", (20, 20)).convert("P")  # of a transparent colour
    assert (convert(palette) == 255).all()
    deep = Image.fromarray(np.array([[0, 65535], [32768, 257]], np.uint16))
    assert convert(deep, shape=(2, 2)).tolist() == [[0, 255], [128, 1]]
    pixels, _ = read(save(deep, transparency=32768), shape=(2, 2), fit="stretch")
    assert pixels.tolist() == [[0, 255], [255, 1]]  # transparent ones become white


def png(path, bits, colour, transparent, row):
    """A picture of 2×1, with a transparent value."""
    header = struct.pack(">2I5B", 2, 1, bits, colour, *bytes(3))
    pixels = zlib.compress(b"\0" + row)
    chunks = {b"IHDR": header, b"tRNS": transparent, b"IDAT": pixels, b"IEND": b""}
    content = b"\x89PNG\r\n\x1a\n"
    for kind, data in chunks.items():
        content += struct.pack(">I", len(data)) + kind + data
        content += struct.pack(">I", zlib.crc32(kind + data))
    path.write_bytes(content)


def test_transparent_value_of_other_depths(tmp_path):
    path = tmp_path / "a.png"
    png(path, 4, 0, b"\0\1", b"\x1f")  # 1, which is transparent, and 15
    assert (read(path, shape=(1, 2), fit="stretch")[0] == 255).all()
    png(path, 16, 2, b"\x12\x34" * 3, b"\x12\x34" * 3 + bytes(6))
    with pytest.raises(DataError, match="has 16 bits and a transparent colour"):
        read(path, shape=(1, 2, 3), fit="stretch")


def test_colour_is_no_digit():
    with pytest.raises(ValidationError, match="digit is for grey"):
        ImageParams(size="auto", channels="rgb", fit="digit")


@each_format
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_probe_reads_the_header(save, suffix, mode):
    path = save(Image.new(mode, (30, 50)), f"a{suffix}", exif=turned(6))
    if suffix != ".webp":
        path.write_bytes(path.read_bytes()[:-20])  # it reads no pixels
    sides = (50, 30) if suffix == ".bmp" else (30, 50)
    kind = "colour" if mode == "RGB" or suffix == ".webp" else "grey"
    assert probe(path) == (*sides, kind, False)


def test_probe_looks_into_palettes(save):
    assert probe(save(Image.fromarray(ROW).convert("P"))).mode == "grey"
    assert probe(save(Image.fromarray(COLOUR).convert("P"))).mode == "colour"


def test_no_picture(tmp_path):
    path = tmp_path / "seven.png"
    os.mkfifo(path)
    assert {*refusals(path)} == {"is a folder, a pipe or a device; a picture is allowed"}
    path.unlink()
    for content in (b"", b"seven\n", b"GIF89a" + bytes(100)):
        path.write_bytes(content)
        assert {*refusals(path)} == {
            "no PNG, JPEG, WebP or BMP, whatever its name says; save it as PNG"
        }


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
@pytest.mark.parametrize("form", ["JPEG", "MPO"])
def test_jpeg_that_is_cut_off_before_its_end(save, options, form):
    image = Image.fromarray(COLOUR).resize((90, 70))
    marks = b"\xff\xda\xff\xd9"  # of pixels and of the end, as in a thumbnail
    path = save(image, "a.jpg", format=form, comment=marks, **options)
    content = path.read_bytes()
    read(path, fit="stretch")
    for missing in (200, 300, 400):
        path.write_bytes(content[: -missing - 2] + content[-2:])
        line = finding(DataError, read_and_hash, path, shape=RGB, fit="stretch")
        assert "is cut off" in line or "is truncated" in line


@each_format
def test_truncated_picture_is_a_line(save, suffix):
    path = save(COLOUR, f"a{suffix}")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert "cannot be read as an image" in finding(DataError, read, path)


def test_png_whose_bits_changed_is_refused(save):
    path = save(stroke())
    content = bytearray(path.read_bytes())
    content[-67] ^= 1  # which decodes to other pixels
    path.write_bytes(content)
    assert "broken PNG file" in finding(DataError, read, path)


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_animation_is_refused(save, suffix):
    second = Image.new("RGB", (9, 9), "blue")
    path = save(Image.new("RGB", (9, 9)), f"a{suffix}", save_all=True, append_images=[second])
    assert refusals(path)[1] == "is animated; one picture in a file is allowed"


def test_second_picture_of_a_phones_jpeg_is_ignored(save):
    frames = [Image.new("RGB", (28, 28), colour) for colour in ("white", "black")]
    path = save(frames[0], "a.jpg", format="MPO", save_all=True, append_images=frames[1:])
    assert read(path)[0].min() == 255


@pytest.mark.parametrize(
    ("suffix", "sides"), [(".bmp", (5100, 5100)), (".bmp", (1, 65536)), (".jpg", (7212, 7212))]
)
def test_huge_picture_is_not_decoded(save, suffix, sides):
    path = save(ROW, f"huge{suffix}")
    content = bytearray(path.read_bytes())
    start, form = (18, "<2I") if suffix == ".bmp" else (content.index(b"\xff\xc0") + 5, ">2H")
    struct.pack_into(form, content, start, *sides)
    path.write_bytes(content)
    [line] = {*refusals(path)}
    assert line.endswith(" over 65,535; scale it down")


def test_jpeg_of_many_scans_is_not_decoded(save):
    """Each scan of 100 bytes goes through all pixels: 5 MB of them would take an hour."""
    path = save(COLOUR, "a.jpg", progressive=True)
    content = path.read_bytes()
    last = content[content.rindex(b"\xff\xda") : -2]
    path.write_bytes(content[:-2] + 100 * last + content[-2:])
    assert finding(DataError, read, path) == f"{path}: over 100 scans; save it anew"


def test_50_megapixels_of_a_phone(save):
    quarters = np.kron([[200, 40], [90, 120]], np.ones((3072, 4096))).astype(np.uint8)
    assert quarters.size > MAX_PIXELS
    path = save(quarters, "a.jpg", progressive=True)
    pixels, _ = read(path, shape=(4, 4), fit="stretch")
    corners = pixels[[0, 0, -1, -1], [0, -1, 0, -1]].astype(int)
    assert np.abs(corners - [200, 40, 90, 120]).max() <= 2


def test_every_bad_picture_is_named(tmp_path, save):
    blank = save(np.full((50, 50), 200, np.uint8), "blank.png")
    nowhere = tmp_path / "nowhere"
    paths = [save(stroke()), blank, nowhere]
    first, second = findings(DataError, read_pictures, paths, shape=GREY, fit="digit")
    assert first == f"{blank}: blank, its contrast is below 16 of 255"
    assert second.startswith(f"{nowhere}: cannot be read as an image: [Errno 2] No such file")
