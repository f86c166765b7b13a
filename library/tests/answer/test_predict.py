"""Which single pictures are answered, and how the answers are printed."""

import pytest
from helpers import finding

from imageproof.answer._predict import Answer, predict_pictures
from imageproof.base.errors import DataError
from imageproof.cli._console import answer_lines


@pytest.mark.parametrize(
    ("shares", "names", "text"),
    [
        ([0, 0.375, 0.125, 0.5], "db", "d or b  (a 0.000  b 0.375  c 0.125  d 0.500)"),
        ([0.25] * 4, "abcd", "unsure, most probably a  (a 0.250  b 0.250  c 0.250  d 0.250)"),
        # of many classes none near 0 is printed
        ([0.9, 0.1 - 8e-5, *[1e-5] * 8, 0.0], "a", "a  (a 0.900  b 0.100)"),
    ],
)
def test_answer_is_one_class_two_or_unsure(shares, names, text):
    answer = Answer("a.png", 0, shares, "as is", [], len(names) > 2, names[0], [*names])
    _, line, _ = answer_lines("models:/m/1", [answer], "abcdefghijk"[: len(shares)], 0.99)
    assert line == f"a.png: {text}  as is"


def test_picture_that_is_not_there(tmp_path):
    path = tmp_path / "nowhere.png"
    assert finding(DataError, predict_pictures, [path], None, 0.99) == f"{path}: not found"
