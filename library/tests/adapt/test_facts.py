"""What `adapt` sees in a folder, by the readers of `pack`."""

import numpy as np
import pytest
from helpers import finding
from PIL import Image

from imageproof.adapt._command import describe
from imageproof.adapt._facts import read_facts
from imageproof.base.errors import DataError

RANDOM = np.random.default_rng(0)


def noise(*shape):
    return RANDOM.integers(0, 256, shape, np.uint8)


def strokes(count):
    """Images as of handwritten glyphs: light strokes that leave the border dark."""
    images = np.zeros((count, 28, 28), np.uint8)
    images[:, 5:23, 10:16] = noise(count, 18, 6)
    return images


def write_pictures(folder, images, mode=None):
    """Pictures, by turns of the classes `cat` and `dog`."""
    for number, image in enumerate(images):
        path = folder / ("cat", "dog")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(image)
        picture.convert(mode or picture.mode).save(path)


def test_colour_pictures_of_several_sizes(tmp_path):
    write_pictures(tmp_path / "train", [noise(60 + k, 90, 4) for k in range(8)])
    write_pictures(tmp_path / "test", noise(3, 60, 90, 3))
    (tmp_path / "train" / "cat" / "damaged.png").write_bytes(b"no picture")
    first = tmp_path / "test" / "cat" / "0.png"
    first.write_bytes(first.read_bytes()[:60])  # of opaque colour only headers are read
    facts = read_facts(tmp_path)
    assert (facts.counts, facts.test_counts) == ([5, 4], [2, 1])
    assert describe(facts).startswith("12 images, 2 classes with 4 or more each, colour, ")
    assert facts.sizes[60, 90] == 4
    assert facts.is_transparent
    assert not facts.is_uniform
    assert (facts.short_side, round(facts.proportion, 1)) == (60, 1.5)


def test_strokes_on_a_plain_border_are_like_glyphs(tmp_path):
    write_pictures(tmp_path, strokes(20))
    assert read_facts(tmp_path).is_digit_like
    write_pictures(tmp_path, strokes(20), "RGB")
    assert not read_facts(tmp_path).is_digit_like
    for images in (np.pad(strokes(20), 20)[20:40], [*strokes(10), *strokes(10)[:, 2:26]]):
        write_pictures(tmp_path, images)
        assert not read_facts(tmp_path).is_digit_like


def test_columns_of_the_table(tmp_path):
    write_pictures(tmp_path, noise(4, 9, 9))
    rows = "cat/0.png,a,Ann,\ndog/1.png,b,Bob,\ncat/2.png,a,Ann,yes\ndog/3.png,b,Ann,\n"
    (tmp_path / "labels.csv").write_text(f"file,label,writer,only_train\n{rows}")
    facts = read_facts(tmp_path)
    assert facts.class_names == ["a", "b"]
    assert facts.is_uniform
    assert not facts.is_transparent
    assert facts.columns["writer"] == {"Ann": 3, "Bob": 1}
    assert (facts.counts, facts.only_train, facts.divided) == ([2, 2], [1, 0], [1, 2])


@pytest.mark.parametrize(
    ("train", "test", "line"),
    [
        ([0, 0], [0], "has one class, 0; two are needed"),
        ([0, 1, 2], [0, 2], "test: no images of 1; "),
    ],
)
def test_labels_that_no_model_can_learn_are_refused(tmp_path, train, test, line):
    images = {f"x_{part}": noise(len(y), 5, 5) for part, y in (("train", train), ("test", test))}
    np.savez(tmp_path / "a.npz", y_train=np.array(train), y_test=np.array(test), **images)
    assert line in finding(DataError, read_facts, tmp_path)
