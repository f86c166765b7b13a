"""Each model keeps its colour, whatever is drawn or logged."""

from imageproof.pages._colours import SERIES, colour_of


def test_colours_go_round():
    models = [f"m{number}" for number in range(9)]
    assert [colour_of(model, models) for model in models] == [*SERIES, SERIES[0]]
    assert colour_of("elsewhere", models[:2]) == SERIES[2]
