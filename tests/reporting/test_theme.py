"""Colours and numbers as pictures write them."""

import pytest

from digits.reporting.plots.theme import percent, series_colour


@pytest.mark.parametrize(
    ("count", "total", "text"),
    [
        (1, 4, "25.0 %"),
        (1, 3, "33.3 %"),
        (0, 10, "0 %"),
        (10, 10, "100 %"),
        (1, 10_000, "<0.1 %"),
        (9_999, 10_000, ">99.9 %"),
        (0, 0, "n/a"),
    ],
)
def test_a_share_is_never_rounded_to_none_or_all(count, total, text):
    assert percent(count, total) == text


def test_eight_series_have_eight_colours_and_the_ninth_starts_again():
    assert len({series_colour(index) for index in range(8)}) == 8
    assert series_colour(8) == series_colour(0)
