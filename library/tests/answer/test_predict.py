"""Single pictures: answer sets, and how they are printed."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from example import project_with
from helpers import finding
from PIL import Image

from imageproof.answer.predict import (
    MAX_EXPLAINED,
    Answer,
    class_names,
    explained,
    predict_pictures,
)
from imageproof.base.errors import UsageError
from imageproof.cli.console import print_answers
from imageproof.outputs import Calibration

# The threshold of 99 rows at a coverage of 0.99 is the least of them.
CALIBRATION = Calibration(1.0, np.linspace(0.25, 1, 99, dtype=np.float32))
ROWS = {
    "3": [0.01, 0.01, 0.01, 0.97],
    "3 or 1": [0, 0.375, 0.125, 0.5],
    "unsure, most probably 0": [0.25, 0.25, 0.25, 0.25],
}


def model(probabilities, calibration=CALIBRATION):
    """A stand-in for a registered version that gives these answers."""
    files = SimpleNamespace(shape=(8, 8), calibration=calibration, classes=4, class_names=[])
    answers = np.array(probabilities, dtype=np.float32)
    return SimpleNamespace(files=files, fit="stretch", predict=lambda images: answers)


@pytest.fixture
def pictures(tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(len(ROWS))]
    for path in paths:
        Image.fromarray(np.eye(8, dtype=np.uint8) * 255).save(path)
    return paths


def test_answer_is_one_class_two_or_unsure(pictures, capsys):
    answers = predict_pictures(pictures, model([*ROWS.values()]), coverage=0.99)
    assert [answer.answer_set for answer in answers] == [[3], [3, 1], [0, 1, 2, 3]]
    assert [answer.unsure for answer in answers] == [False, False, True]
    assert [answer.predicted for answer in answers] == [3, 3, 0]
    print_answers("models:/imageproof/3", answers, names=None, coverage=0.99, as_json=False)
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == "models:/imageproof/3, answers with 99 % coverage"
    said = [line.partition(": ")[2].partition("  (")[0] for line in lines]
    assert said[: len(ROWS)] == [*ROWS]
    print_answers("models:/imageproof/3", answers, names=None, coverage=0.99, as_json=True)
    printed = json.loads(capsys.readouterr().out)
    assert printed["coverage"] == 0.99
    assert [each["answer_set"] for each in printed["answers"]] == [[3], [3, 1], [0, 1, 2, 3]]


def test_of_many_classes_the_likeliest_ten_are_printed(capsys):
    chances = [0.0] * 998 + [0.2, 0.8]
    answer = Answer("a.png", 999, chances, "as is", [999], False)
    print_answers("models:/imageproof/3", [answer], names=None, coverage=0.99, as_json=False)
    line = capsys.readouterr().out.splitlines()[1]
    assert "(999 0.800  998 0.200  0 0.000" in line
    assert line.count("0.000") == 8


def test_answers_have_the_names_of_classes(pictures, capsys):
    champion = model([*ROWS.values()])
    answers = predict_pictures(pictures, champion, coverage=0.99)
    project = project_with({"data.classes": 4, "data.class_names": [*"abcd"]})
    names = class_names(champion, project)
    print_answers("models:/imageproof/3", answers, names=names, coverage=0.99, as_json=False)
    _, *lines = capsys.readouterr().out.splitlines()
    said = [line.partition(": ")[2].partition("  ")[0] for line in lines[:3]]
    assert said == ["d", "d or b", "unsure, most probably a"]
    assert "(a 0.010  b 0.010  c 0.010  d 0.970)" in lines[0]
    print_answers("models:/imageproof/3", answers, names=names, coverage=0.99, as_json=True)
    second = json.loads(capsys.readouterr().out)["answers"][1]
    assert (second["predicted"], second["answer_set"]) == (3, [3, 1])
    assert (second["predicted_name"], second["answer_names"]) == ("d", ["d", "b"])
    champion.files.class_names = [*"0123"]  # logged before there were names
    assert class_names(champion, project) == [*"abcd"]
    champion.files.class_names = [*"wxyz"]
    assert class_names(champion, project) == [*"wxyz"]
    champion.files.classes, champion.files.class_names = 10, []
    assert class_names(champion, project) is None  # a version of other data


def test_too_many_pictures_to_explain_is_one_line(pictures):
    champion = model([*ROWS.values()])
    answers = predict_pictures(pictures, champion, coverage=0.99)
    line = finding(UsageError, lambda: explained(answers * MAX_EXPLAINED, champion))
    assert line == "--explain: 180 pictures; at most 60 are allowed"
