"""Pictures in a model's form: as they are, as handwriting, resampled; and what is no picture."""

import os
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from helpers import finding, findings
from PIL import Image

from imageproof.base.dataset import ImageParams
from imageproof.base.errors import DataError, UsageError
from imageproof.dvc.params_yaml import validated
from imageproof.pictures.conversion import convert_picture
from imageproof.pictures.digit import normalise
from imageproof.pictures.reading import (
    MAX_PIXELS,
    SUFFIXES,
    probe,
    read_and_hash,
    read_pictures,
)

SHAPE = (28, 28)
ROW = np.random.default_rng(1).integers(0, 256, SHAPE, dtype=np.uint8)  # full-frame, as in training
either = pytest.mark.parametrize("form", ["digit", "stretch"])


def read_picture(path, *, shape=SHAPE, fit):
    [converted] = read_pictures([path], shape=shape, fit=fit)
    return converted


def digit(path):
    return read_picture(path, fit="digit")[0]


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
    image, treatment = read_picture(path, shape=pixels.shape, fit=form)
    assert np.array_equal(image, pixels)
    assert treatment == "as is"


@either
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P"])
def test_grey_of_the_models_size_is_untouched(tmp_path, mode, form):
    path = tmp_path / "a.png"
    Image.fromarray(ROW).convert(mode).save(path)
    assert_as_is(path, ROW, form)


def test_fingerprint_is_that_of_the_pixels_in_any_format(tmp_path):
    grey = Image.fromarray(ROW)
    colour = Image.fromarray(np.stack([ROW, ROW, 255 - ROW], axis=-1))
    veil = Image.fromarray(np.where(ROW < 128, 0, ROW))
    veiled = colour.copy()
    veiled.putalpha(veil)
    seen = veil.point(lambda value: 255 * bool(value))
    veiled_red = Image.composite(veiled, Image.new("RGBA", veil.size, "red"), seen)
    veiled_red.putalpha(veil)
    equal = [
        [
            grey,
            *map(grey.convert, ("RGB", "RGBA", "LA", "P")),
            Image.fromarray(ROW * np.uint16(257)),
        ],
        [colour, colour.convert("RGBA")],
        [veiled, veiled_red],
    ]
    fingerprints = []
    for images in equal:
        paths = [tmp_path / f"{number}.png" for number in range(len(images))]
        for image, path in zip(images, paths, strict=True):
            image.save(path)
        paths.append(tmp_path / "a.webp")
        images[0].save(paths[-1], lossless=True)
        fingerprints.append({read_and_hash(path, shape=SHAPE, fit="stretch")[1] for path in paths})
    assert [len(digests) for digests in fingerprints] == [1, 1, 1]
    assert len(set.union(*fingerprints)) == 3


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
    image, treatment = read_picture(path, fit=form)
    assert (image.shape, image.dtype, treatment) == (SHAPE, np.uint8, form)


def test_plain_averages_what_shrinks(picture):
    board = (np.indices((280, 280)).sum(axis=0) % 2 * 255).astype(np.uint8)
    plain = read_picture(picture(board), fit="stretch")[0]
    assert np.abs(plain.astype(int) - 127).max() <= 2


def test_other_image_sizes_keep_the_proportion():
    digit = normalise(stroke().astype(float), shape=(8, 8))
    assert digit.shape == (8, 8)
    assert np.ptp(np.nonzero(digit)[0]) + 1 == 6


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


COLOUR = np.random.default_rng(2).integers(0, 256, (28, 28, 3), dtype=np.uint8)
BARS = np.kron([[[200, 10, 30], [20, 180, 90]]], np.ones((20, 20, 1))).astype(np.uint8)  # 20×40


def as_colour(image, *, fit="stretch", side=20):
    pixels, treatment = convert_picture(image, shape=(side, side, 3), fit=fit)
    assert (pixels.shape, pixels.dtype) == ((side, side, 3), np.uint8)
    return pixels, treatment


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "1"])
def test_colour_of_the_models_size_is_untouched(tmp_path, mode):
    image = Image.fromarray(COLOUR).convert(mode)
    for suffix in (".png", ".bmp"):
        image.save(path := tmp_path / f"a{suffix}")
        pixels, treatment = read_picture(path, shape=COLOUR.shape, fit="crop")
        assert treatment == "as is"
        assert np.array_equal(pixels, image.convert("RGB"))


def test_fit_of_another_proportion():
    left, right, bars = BARS[0, 0], BARS[0, -1], Image.fromarray(BARS)
    stretched, cropped, padded = (as_colour(bars, fit=fit) for fit in ("stretch", "crop", "pad"))
    assert [name for _, name in (stretched, cropped, padded)] == ["stretch", "crop", "pad"]
    halves = np.repeat([left, right], 10, axis=0)
    assert np.array_equal(cropped[0], np.broadcast_to(halves, (20, 20, 3)))
    assert np.array_equal(stretched[0][:, [0, -1]], np.broadcast_to([left, right], (20, 2, 3)))
    assert np.array_equal(padded[0][5:15], stretched[0][5:15])


@pytest.mark.parametrize("background", [(10, 200, 90), (0, 0, 0, 0)])
def test_pad_continues_the_background(background):
    image = Image.new("RGBA", (40, 20), background)
    image.paste((90, 90, 90, 255), (10, 5, 30, 15))
    white = (255, 255, 255)
    fill = background if len(background) == 3 else white
    for shape in ((20, 20, 3), (20, 20)):
        padded, _ = convert_picture(image, shape=shape, fit="pad")
        expected = np.asarray(
            Image.new("RGB", (20, 20), fill).convert("L" if len(shape) == 2 else "RGB")
        )
        assert np.array_equal(padded[[*range(6), *range(14, 20)]], expected[:12])
        assert not np.array_equal(padded[10], expected[10])


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("size", [(1, 2052), (2052, 1), (1, 1)])
def test_thinnest_pictures(fit, size):
    for shape in (SHAPE, (28, 28, 3)):
        assert convert_picture(Image.new("RGB", size), shape=shape, fit=fit)[0].shape == shape


def test_grey_is_luminance():
    grey, _ = convert_picture(Image.new("RGB", (9, 9), (200, 100, 50)), shape=SHAPE, fit="stretch")
    assert np.array_equal(grey, np.full(SHAPE, round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)))


@pytest.mark.parametrize("shape", [SHAPE, (28, 28, 3)])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_are_white(tmp_path, shape, mode):
    image = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    image.paste((90, 90, 90, 255), (0, 0, 40, 20))
    image.convert(mode).save(path := tmp_path / "a.png")
    pixels, treatment = read_picture(path, shape=shape, fit="stretch")
    assert treatment == "stretch"
    assert np.abs(pixels[:13].astype(int) - 90).max() <= 2  # a palette rounds
    assert pixels[15:].min() == 255


def test_half_transparent_is_mixed_with_white():
    pixels, _ = as_colour(Image.new("RGBA", (20, 20), (0, 100, 200, 128)))
    assert np.abs(pixels[0, 0].astype(int) - [127, 177, 227]).max() <= 1


def test_cmyk_and_palette_become_rgb(tmp_path):
    Image.new("CMYK", (40, 40), (255, 0, 0, 0)).save(path := tmp_path / "a.jpg")
    pixels, _ = read_picture(path, shape=(4, 4, 3), fit="crop")
    assert np.abs(pixels.astype(int) - [0, 255, 255]).max() <= 2
    palette = Image.new("P", (40, 40), 1)
    palette.putpalette([0, 0, 0, 250, 20, 30])
    assert as_colour(palette)[0][0, 0].tolist() == [250, 20, 30]


def test_16_bits_become_8():
    deep = Image.fromarray(np.array([[0, 65535], [32768, 257]], np.uint16))
    assert convert_picture(deep, shape=(2, 2), fit="stretch")[0].tolist() == [[0, 255], [128, 1]]
    assert convert_picture(deep, shape=(2, 2, 3), fit="pad")[0][1, 0].tolist() == [128] * 3


def test_colour_is_no_digit():
    image = Image.fromarray(COLOUR)
    line = finding(DataError, lambda: convert_picture(image, shape=COLOUR.shape, fit="digit"))
    assert line == "fit: digit is for grey images; stretch, crop or pad is for colour"
    image = {"size": "auto", "channels": "rgb", "fit": "digit"}
    assert "digit is for grey" in finding(UsageError, lambda: validated(ImageParams, image))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_probe_reads_the_header(tmp_path, suffix):
    exif = Image.Exif()
    exif[0x0112] = 6
    for mode, has_colour in (("L", False), ("RGB", True)):
        path = tmp_path / f"a{suffix}"
        turned = {} if suffix == ".bmp" else {"exif": exif}
        Image.new(mode, (30, 50)).save(path, **turned)
        upright = (50, 30) if suffix == ".bmp" else (30, 50)
        has_colour |= suffix == ".webp"  # which is always RGB
        assert probe(path) == (*upright, has_colour, False)
        path.write_bytes(path.read_bytes()[:-20])  # as it reads no pixels
        if suffix != ".webp":
            assert probe(path) == (*upright, has_colour, False)


def test_probe_looks_into_palettes(tmp_path):
    for colours, has_colour in (([0, 0, 0, 9, 9, 9], False), ([0, 0, 0, 9, 9, 8], True)):
        for suffix in (".png", ".bmp"):
            image = Image.new("P", (30, 50))
            image.putpalette(colours)
            image.save(path := tmp_path / f"a{suffix}")
            assert probe(path) == (50, 30, has_colour, False)


def test_no_picture(tmp_path):
    for content in (b"", b"seven\n", b"GIF89a" + bytes(100)):
        path = written(tmp_path / "seven.png", content)
        line = finding(DataError, lambda: digit(path))  # noqa: B023
        assert line.startswith(f"{path}: no PNG, JPEG, WebP or BMP")


def test_a_pipe_is_no_picture(tmp_path):
    os.mkfifo(path := tmp_path / "seven.png")
    for read in (probe, digit):
        assert "is a folder, a pipe or a device" in finding(DataError, partial(read, path))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_truncated_picture(picture, suffix):
    whole = picture(np.random.default_rng(0).integers(0, 255, (80, 80), np.uint8), f"a{suffix}")
    path = written(whole, whole.read_bytes()[:-2000])
    assert "cannot be read as an image" in finding(DataError, lambda: digit(path))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damaged_picture_is_a_picture_or_a_line(picture, suffix):
    random = np.random.default_rng(0)
    whole = picture(random.integers(0, 255, (40, 40, 3), np.uint8), f"a{suffix}")
    content = whole.read_bytes()
    for _ in range(200):
        damaged = bytearray(content)
        for place in random.integers(0, min(len(content), 600), 3):
            damaged[place] = random.integers(256)
        path = written(whole, bytes(damaged))
        for read in (probe, lambda path: read_picture(path, shape=(8, 8, 3), fit="pad")):
            with suppress(DataError):
                read(path)


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_animation_is_refused(tmp_path, suffix):
    frames = [Image.new("RGB", (9, 9), colour) for colour in ("red", "blue")]
    frames[0].save(path := tmp_path / f"a{suffix}", save_all=True, append_images=frames[1:])
    for read in (probe, digit):
        line = finding(DataError, lambda: read(path))  # noqa: B023
        assert line.endswith("is animated; one picture in a file is allowed")


def test_second_picture_of_a_phones_jpeg_is_ignored(tmp_path):
    frames = [Image.new("RGB", (28, 28), colour) for colour in ("white", "black")]
    options = {"format": "MPO", "save_all": True, "append_images": frames[1:]}
    frames[0].save(path := tmp_path / "a.jpg", **options)
    assert_as_is(path, np.full(SHAPE, 255, np.uint8))


@pytest.mark.parametrize(
    ("suffix", "side"), [(".png", 5001), (".bmp", 5001), (".jpg", 7072), (".png", 14000)]
)
def test_huge_picture_is_not_decoded(tmp_path, suffix, side):
    path = tmp_path / f"huge{suffix}"
    Image.new("1", (side, side)).save(path)
    for read in (probe, digit):
        line = finding(DataError, lambda: read(path))  # noqa: B023
        assert line.endswith("over 25,000,000 pixels (50,000,000 as JPEG); scale it down")


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
def test_photo_decoded_smaller_looks_the_same(tmp_path, fit):
    photo = Image.fromarray(COLOUR[:9, :7]).resize((700, 500), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 8
    photo.save(path := tmp_path / "a.jpg", quality=95, subsampling=0, exif=exif)
    upright = photo.rotate(90, expand=True)
    found = read_picture(path, shape=(40, 30, 3), fit=fit)[0]
    whole = convert_picture(upright, shape=(40, 30, 3), fit=fit)[0]
    assert np.abs(found.astype(int) - whole).mean() < 1.5


@pytest.mark.parametrize("progressive", [False, True])
def test_40_megapixels_of_a_phone(tmp_path, progressive):
    quarters = np.kron([[200, 40], [90, 120]], np.ones((2750, 3700))).astype(np.uint8)
    assert quarters.size > MAX_PIXELS
    Image.fromarray(quarters).save(path := tmp_path / "a.jpg", progressive=progressive)
    pixels, _ = read_picture(path, shape=(4, 4), fit="stretch")
    corners = pixels[[0, 0, -1, -1], [0, -1, 0, -1]].astype(int)
    assert np.abs(corners - [200, 40, 90, 120]).max() <= 2


def test_every_bad_picture_is_named(tmp_path, picture):
    blank = picture(np.full((50, 50), 200, np.uint8), "blank.png")
    paths = [picture(stroke()), blank, written(tmp_path / "empty.png", b""), tmp_path / "nowhere"]
    lines = findings(DataError, lambda: read_pictures(paths, shape=SHAPE, fit="digit"))
    for line, says in zip(lines, ("blank, ", "no PNG", "No such file"), strict=True):
        assert says in line
