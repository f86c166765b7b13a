"""Single pictures: answer sets, and how they are printed."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from imageproof.answer._predict import Answer, predict_pictures
from imageproof.cli._console import answer_lines
from imageproof.outputs import Calibration

ROWS = [[0.01, 0.01, 0.01, 0.97], [0, 0.375, 0.125, 0.5], [0.25, 0.25, 0.25, 0.25]]


@pytest.fixture
def model():
    """A stand-in for a registered version that gives these answers."""
    # the threshold of 99 rows at a coverage of 0.99 is the least of them
    calibration = Calibration(1.0, np.linspace(0.25, 1, 99, dtype=np.float32))
    files = SimpleNamespace(shape=(8, 8), calibration=calibration, class_names=[*"abcd"])
    return SimpleNamespace(files=files, fit="stretch", predict=lambda _: np.float32(ROWS))


@pytest.fixture
def answers(tmp_path, model):
    """To one class, to two, and unsure."""
    paths = [tmp_path / f"{number}.png" for number in range(len(ROWS))]
    for path in paths:
        Image.fromarray(np.eye(8, dtype=np.uint8) * 255).save(path)
    answers, _ = predict_pictures(paths, model, 0.99)
    return answers


def test_answer_is_one_class_two_or_unsure(answers):
    assert [answer.answer_set for answer in answers] == [[3], [3, 1], [0, 1, 2, 3]]
    assert [answer.unsure for answer in answers] == [False, False, True]
    assert [answer.predicted for answer in answers] == [3, 3, 0]


def test_answers_have_names_of_classes(answers):
    _, *lines = answer_lines("models:/imageproof/3", answers, [*"abcd"], 0.99)
    for line, text in zip(lines, ("d", "d or b", "unsure, most probably a"), strict=False):
        assert f": {text}  (a " in line
    assert (answers[1].predicted_name, answers[1].answer_names) == ("d", ["d", "b"])


def test_of_many_classes_no_probability_near_0_is_printed():
    shares = [0.9, 0.1 - 8e-5, *[1e-5] * 8, 0.0]
    answer = Answer("a.png", 0, shares, "as is", [0], False, "class 0", ["class 0"])
    _, line, _ = answer_lines("models:/m/1", [answer], [f"class {n}" for n in range(11)], 0.99)
    assert line == "a.png: class 0  (class 0 0.900  class 1 0.100)  as is"
