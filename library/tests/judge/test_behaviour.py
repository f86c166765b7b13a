"""Disturbed images: what each perturbation does, and how accurate models are on them."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.neighbors import KNeighborsClassifier

from imageproof.base.dataset import Dataset
from imageproof.judge import disturbances as behaviour
from imageproof.judge.disturbances import (
    BehaviourParams,
    accuracies,
    accuracy_under,
    disturbances,
)

EACH = BehaviourParams(
    shift=[0.125, 0.25], rotate=[5, 15], blur=[0.125], noise=[0.2], invert=True, images=2000
)


def dot(rows: int, size: int = 9, grey: int = 200) -> np.ndarray:
    images = np.zeros((rows, size, size), dtype=np.uint8)
    images[:, size // 2, size // 2] = grey
    return images


def whole(disturb):
    """The disturbance with its chunks joined."""
    return lambda *given: np.concatenate([*disturb(*given)])


shift, rotate, blur = map(whole, (behaviour.shift, behaviour.rotate, behaviour.blur))
add_noise, invert = map(whole, (behaviour.add_noise, behaviour.invert))


@pytest.mark.parametrize("name", disturbances(EACH))
@pytest.mark.parametrize("shape", [(0, 8, 8), (3, 5, 9), (3, 5, 9, 3)], ids=str)
def test_shape_and_type_stay_and_the_input_is_untouched(name, shape):
    images = np.random.default_rng(0).integers(256, size=shape, dtype=np.uint8)
    before = images.copy()
    disturb = whole(disturbances(EACH)[name])
    disturbed = disturb(images)
    assert np.array_equal(disturbed, disturb(images))
    assert disturbed.shape == shape
    assert disturbed.dtype == np.uint8
    assert np.array_equal(images, before)


@pytest.mark.parametrize("name", disturbances(EACH))
@pytest.mark.parametrize("shape", [(2101, 8, 7), (130, 8, 7, 3)], ids=str)
def test_chunks_change_nothing(name, shape, monkeypatch):
    images = np.random.default_rng(0).integers(200, size=shape, dtype=np.uint8)
    images[-1] = 255  # the brightest of all is in the last chunk
    disturb = disturbances(EACH)[name]
    [at_once] = disturb(images)
    monkeypatch.setattr(behaviour, "CHUNK", 1)
    chunks = [*disturb(images)]
    assert {len(chunk) for chunk in chunks[:-1]} == {50}  # a batch of predictions
    assert np.array_equal(np.concatenate(chunks), at_once)


@pytest.mark.parametrize("name", ["shift_0.125", "rotate_15", "blur_0.125", "invert"])
def test_each_channel_of_a_colour_image_is_disturbed_as_a_grey_one(name):
    grey = np.random.default_rng(0).integers(256, size=(40, 9, 12), dtype=np.uint8)
    disturb = whole(disturbances(EACH)[name])
    disturbed = disturb(np.stack([grey, grey[:, ::-1], grey[..., ::-1]], axis=-1))
    for channel, alone in enumerate((grey, grey[:, ::-1], grey[..., ::-1])):
        assert np.array_equal(disturbed[..., channel], disturb(alone))


@pytest.mark.parametrize("pixels", [1, 2])
def test_a_shift_moves_by_whole_pixels_in_each_of_four_directions(pixels):
    moved = np.argwhere(shift(dot(100), pixels / 9))[:, 1:] - 4
    directions = {tuple(step.tolist()) for step in moved}
    assert directions == {(0, pixels), (0, -pixels), (pixels, 0), (-pixels, 0)}
    assert len(moved) == 100


def test_disturbances_scale_with_the_image():
    large, small = (dot(40, size=size) for size in (28, 8))
    for size, images in ((28, large), (8, small)):
        moved = abs(np.argwhere(shift(images, 0.25)) - np.argwhere(images)).sum(axis=1)
        assert (moved == size / 4).all()
    assert shift(small, 0.07).max() < 200  # half a pixel
    assert blur(large, 0.035).max() < blur(small, 0.035).max()


def test_a_rotation_turns_half_of_the_images_either_way_about_their_centre():
    bar = np.zeros((100, 9, 9), dtype=np.uint8)
    bar[:, 4, :] = 200
    turned = rotate(bar, 15)
    clockwise = turned[:, 3, 7] == 0
    assert 30 < clockwise.sum() < 70
    assert (turned[:, 4, 4] == 200).all()
    assert np.array_equal(turned[clockwise][0], turned[~clockwise][0][::-1])


def test_a_blur_spreads_the_ink_and_keeps_its_amount():
    blurred = blur(dot(1), 1 / 9)
    assert blurred[0, 4, 4] == pytest.approx(200 * 0.159, abs=1)
    assert blurred[0, 4, 3] == blurred[0, 3, 4] == blurred[0, 4, 5] > 0
    assert blurred.sum() == pytest.approx(200, rel=0.05)


def test_noise_is_a_fifth_of_the_brightest_grey():
    grey = np.full((20, 28, 28), 100, dtype=np.uint8)
    assert add_noise(grey, 0.2).std() == pytest.approx(20, rel=0.02)
    assert add_noise(grey, 0.2).mean() == pytest.approx(100, rel=0.01)


def test_inversion_swaps_black_and_the_brightest_grey():
    assert invert(dot(1, size=1, grey=7)).tolist() == [[[0]]]
    inverted = invert(dot(2))
    assert inverted[0, 4, 4] == 0
    assert inverted[0, 0, 0] == 200
    assert np.array_equal(invert(inverted), dot(2))


def test_accuracy_falls_with_the_size_of_the_disturbance(images_8x8):
    images, labels = images_8x8.images * np.uint8(15), images_8x8.labels
    model = KNeighborsClassifier(3).fit(images[:900].reshape(900, -1), labels[:900])

    def predict(asked):
        return model.predict_proba(asked.reshape(len(asked), -1))

    held = Dataset(images[900:], labels[900:])
    clean = predict(held.images)
    found = accuracy_under(predict, held, disturbances(EACH), images=2000, clean=clean)
    assert list(found) == ["images", "clean", *disturbances(EACH)]
    assert found["clean"] > 0.93
    assert found["clean"] > found["shift_0.125"] > found["shift_0.25"]
    assert found["rotate_5"] > found["rotate_15"]
    assert found["invert"] < 0.5


def test_a_sample_of_the_images_is_disturbed_and_its_size_and_intervals_are_told():
    images, labels = np.zeros((400, 8, 8), np.uint8), np.zeros(400, np.int64)
    images[:100] = 200  # these are right, but not when inverted
    asked = []

    def predict(given):
        asked.append(len(given))
        return np.eye(2)[(given[:, 0, 0] < 100).astype(int)]

    held = Dataset(images, labels)
    found = accuracy_under(predict, held, disturbances(EACH), images=200, clean=predict(images))
    assert set(asked) == {400, 200}
    assert found["images"] == 200
    assert found["invert"] == 1 - found["clean"]
    assert 0.15 < found["clean"] < 0.35  # of the drawn ones, not the first ones
    rate, low, high = accuracies(found)["clean"]
    assert (low, high) == pytest.approx(binomtest(round(200 * rate), 200).proportion_ci()[:2])
    assert list(accuracies(found)) == [name for name in found if name != "images"]
