"""Disturbed images: what each disturbance does, and how accurate models are on them."""

import numpy as np
import pytest
from helpers import finding

from imageproof.base._dataset import Dataset
from imageproof.base._inference import BATCH
from imageproof.base.errors import DataError
from imageproof.judge import disturbances
from imageproof.judge.disturbances import BehaviourParams, accuracy_under

DISTURBANCES = disturbances.disturbances(
    BehaviourParams(shift=[0.25], rotate=[15], blur=[0.125], noise=[0.2], invert=True, images=9)
)


def disturbed(name, images):
    """The images under the disturbance of this name, its chunks joined."""
    return np.concatenate([*DISTURBANCES[name](images)])


def darken(images):
    images //= 4  # in place, as a project's own may
    yield images


def dot(rows, height=8, width=16):
    images = np.zeros((rows, height, width), dtype=np.uint8)
    images[:, height // 2, width // 2] = 200
    return images


@pytest.mark.parametrize("name", DISTURBANCES)
def test_chunks_are_disturbed_as_all_at_once(name, monkeypatch):
    images = np.random.default_rng(0).integers(200, size=(130, 8, 7, 3), dtype=np.uint8)
    images[-1] = 255  # the brightest of all is in the last chunk
    [at_once] = DISTURBANCES[name](images)
    monkeypatch.setattr(disturbances, "CHUNK", 1)
    chunks = [*DISTURBANCES[name](images)]
    assert [*map(len, chunks)] == [BATCH, BATCH, 130 - 2 * BATCH]
    assert np.array_equal(np.concatenate(chunks), at_once)
    assert (at_once.shape, at_once.dtype) == (images.shape, np.uint8)


@pytest.mark.parametrize("name", ["shift_0.25", "rotate_15", "blur_0.125", "invert"])
def test_channel_is_disturbed_as_a_grey_image(name):
    images = np.random.default_rng(0).integers(256, size=(40, 9, 12, 3), dtype=np.uint8)
    colour = disturbed(name, images)
    for channel in range(3):
        assert np.array_equal(colour[..., channel], disturbed(name, images[..., channel]))


def test_shift_moves_by_a_share_of_the_size_in_four_directions():
    moved = np.argwhere(disturbed("shift_0.25", dot(100)))[:, 1:] - [4, 8]
    assert {*map(tuple, moved.tolist())} == {(0, 4), (0, -4), (2, 0), (-2, 0)}
    assert disturbed("shift_0.25", dot(9, 2, 2)).max() == 100  # half a pixel


def test_blur_spreads_by_a_share_of_the_size():
    [blurred] = disturbed("blur_0.125", dot(1))
    assert blurred[4, 8] == pytest.approx(200 / (2 * np.pi * 2), abs=1)
    assert blurred[3, 8] == blurred[5, 8] == blurred[4, 6] == blurred[4, 10] == 10


def test_noise_is_a_share_of_the_brightest_grey():
    noisy = disturbed("noise_0.2", np.full((20, 28, 28), 100, dtype=np.uint8))
    assert noisy.std() == pytest.approx(20, rel=0.02)
    assert noisy.mean() == pytest.approx(100, rel=0.01)


def test_inversion_swaps_black_and_the_brightest_grey():
    assert np.array_equal(disturbed("invert", dot(2)), 200 - dot(2))


def test_disturbance_of_the_projects_own_keeps_its_name():
    names = ["shift", "noise_of_rain", "fog_0.5"]
    assert [*map(disturbances.in_words, names)] == [f"disturbed by {name}" for name in names]


def test_accuracies_are_of_a_sample():
    images = np.zeros((400, 8, 8), np.uint8)
    images[:100] = 200  # these are right, but not when inverted

    def predict(batch):
        return np.eye(2)[(batch[:, 0, 0] < 100).astype(int)]

    data = Dataset(images, np.zeros(400, np.int64))
    clean = predict(images)
    disturb_by = {"own": darken, **DISTURBANCES}
    behaviour = accuracy_under(predict, data, disturb_by, images=200, clean=clean)
    assert [*behaviour] == ["images", "effective_images", "clean", *disturb_by]
    assert behaviour["invert"] == 1 - behaviour["clean"]
    first = {"own": lambda images: iter([images[:1]])}
    line = finding(DataError, accuracy_under, predict, data, first, images=200, clean=clean)
    assert line == "own: yields 1 of 200 images"
    assert 0.15 < behaviour["clean"] < 0.35  # of the drawn ones, not the first ones
    grouped = Dataset(images, data.labels, np.arange(400) // 4)
    behaviour = accuracy_under(predict, grouped, DISTURBANCES, images=200, clean=clean)
    assert 60 < behaviour["effective_images"] < 120  # of some 95 groups
