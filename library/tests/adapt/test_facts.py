"""What `adapt` sees in a folder, by the readers of `pack`."""

import gzip
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import finding
from PIL import Image

from imageproof.adapt.facts import Facts, read_facts
from imageproof.base.errors import DataError

RANDOM = np.random.default_rng(0)


def noise(*shape: int) -> np.ndarray:
    return RANDOM.integers(0, 256, shape, np.uint8)


def strokes(count: int) -> np.ndarray:
    """Images as of handwritten glyphs: light strokes that leave the border dark."""
    images = np.zeros((count, 28, 28), np.uint8)
    images[:, 5:23, 10:16] = noise(count, 18, 6)
    return images


def write_pictures(folder: Path, images: list[np.ndarray], mode: str | None = None) -> None:
    """Pictures, by turns of the classes `cat` and `dog`."""
    for number, image in enumerate(images):
        path = folder / ("cat", "dog")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(image)
        (picture.convert(mode) if mode else picture).save(path)


def test_grey_faces_of_one_size(tmp_path: Path) -> None:
    write_pictures(tmp_path, [*noise(30, 25, 25)])
    facts = read_facts(tmp_path)
    assert facts == Facts(
        class_names=["cat", "dog"],
        counts=[15, 15],
        test_counts=(),
        sizes=Counter({(25, 25): 30}),
        has_colour=False,
        is_transparent=False,
        is_digit_like=False,
        columns={},
    )
    assert facts.is_uniform


def test_colour_pictures_of_several_sizes(tmp_path: Path) -> None:
    write_pictures(tmp_path, [noise(60 + k, 90, 3) for k in range(8)])
    write_pictures(tmp_path / "test", [noise(60, 90, 3)] * 3)
    (tmp_path / "cat" / "damaged.png").write_bytes(b"no picture")
    (tmp_path / "train").mkdir()
    for name in ("cat", "dog"):
        (tmp_path / name).rename(tmp_path / "train" / name)
    facts = read_facts(tmp_path)
    assert (facts.counts, facts.test_counts) == ([5, 4], [2, 1])
    assert (len(facts.sizes), facts.sizes[60, 90]) == (8, 4)
    assert (facts.has_colour, facts.is_uniform, facts.is_digit_like) == (True, False, False)
    assert (facts.short_side, round(facts.proportion, 1)) == (60, 1.5)


def test_pictures_for_training_only_are_counted(tmp_path: Path) -> None:
    write_pictures(tmp_path, [*noise(4, 25, 25)])
    lines = [f"{('cat', 'dog')[n % 2]}/{n}.png,{'ab'[n % 2]},{'yes' * (n == 2)}" for n in range(4)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,label,only_train", *lines]), "utf-8")
    facts = read_facts(tmp_path)
    assert (facts.counts, facts.only_train, facts.divided) == ([2, 2], [1, 0], [1, 2])


def test_transparent_pictures(tmp_path: Path) -> None:
    write_pictures(tmp_path, [noise(30, 40, 4)] * 2)
    assert read_facts(tmp_path).is_transparent


def test_strokes_on_a_plain_border_are_like_glyphs(tmp_path: Path) -> None:
    write_pictures(tmp_path, [*strokes(20)])
    assert read_facts(tmp_path).is_digit_like
    write_pictures(tmp_path, [*strokes(20)], "RGB")
    assert not read_facts(tmp_path).is_digit_like


def test_columns_of_the_table(tmp_path: Path) -> None:
    write_pictures(tmp_path, [*noise(2, 9, 9)])
    rows = "file,label,writer\ncat/0.png,a,Ann\ndog/1.png,b,Bob\n"
    (tmp_path / "labels.csv").write_text(rows, "utf-8")
    facts = read_facts(tmp_path)
    assert (facts.class_names, facts.columns) == (["a", "b"], {"writer": {"Ann": 1, "Bob": 1}})


def test_npz_with_a_test_part(tmp_path: Path) -> None:
    labels = np.arange(40) % 4
    arrays = {"x_train": strokes(40), "y_train": labels, "x_test": strokes(8), "y_test": labels[:8]}
    np.savez(tmp_path / "a.npz", **arrays)
    facts = read_facts(tmp_path)
    assert (facts.counts, facts.test_counts) == ([10] * 4, [2] * 4)
    assert (facts.sizes, facts.is_digit_like) == (Counter({(28, 28): 40}), True)


def test_csv(tmp_path: Path) -> None:
    frame = pd.DataFrame(noise(6, 25), columns=[f"pixel{k}" for k in range(25)])
    frame.insert(0, "label", [0, 1, 2, 0, 1, 0])
    frame.to_csv(tmp_path / "a.csv", index=False)
    facts = read_facts(tmp_path)
    assert (facts.counts, [*facts.sizes], facts.is_digit_like) == ([3, 2, 1], [(5, 5)], False)


def test_idx(tmp_path: Path) -> None:
    contents = {
        "train-images.gz": b"\0\0\x08\x03" + np.array([4, 28, 28], ">u4").tobytes(),
        "train-labels.gz": b"\0\0\x08\x01" + np.array([4], ">u4").tobytes() + bytes([0, 1, 1, 1]),
    }
    contents["train-images.gz"] += strokes(4).tobytes()
    for name, content in contents.items():
        (tmp_path / name).write_bytes(gzip.compress(content))
    facts = read_facts(tmp_path)
    assert (facts.counts, facts.is_digit_like) == ([1, 3], True)


def test_one_class_is_refused(tmp_path: Path) -> None:
    write_pictures(tmp_path, [noise(9, 9)])
    line = finding(DataError, lambda: read_facts(tmp_path))
    assert line == f"{tmp_path}: has one class, cat; two are needed"


def test_unreadable_pictures_are_refused(tmp_path: Path) -> None:
    write_pictures(tmp_path, [noise(9, 9)] * 2)
    for path in tmp_path.rglob("*.png"):
        path.write_bytes(b"")
    assert "none of 2 pictures can be read" in finding(DataError, lambda: read_facts(tmp_path))


@pytest.mark.parametrize(
    ("labels", "text"),
    [([0, -1], "label -1; whole numbers from 0"), ([0, 10**9], "label 1000000000; whole numbers")],
)
def test_labels_that_are_no_classes_are_refused(
    tmp_path: Path, labels: list[int], text: str
) -> None:
    np.savez(tmp_path / "a.npz", x_train=noise(2, 5, 5), y_train=np.array(labels))
    assert text in finding(DataError, lambda: read_facts(tmp_path))
