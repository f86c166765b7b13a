"""Colours of models, the same in our pictures and on MLflow's pages."""

from collections.abc import Sequence

# Okabe & Ito, "Color Universal Design" (2008): told apart with every kind of colour blindness
BLUE = "#0072B2"
VERMILION = "#D55E00"
SERIES = [BLUE, "#E69F00", "#009E73", "#CC79A7", "#56B4E9", VERMILION, "#000000", "#B8A800"]


def colour_of(model: str, models: Sequence[str]) -> str:
    """The colour of a model among those of the project; one that is not among them comes last."""
    place = models.index(model) if model in models else len(models)
    return SERIES[place % len(SERIES)]
