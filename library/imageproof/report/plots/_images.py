"""Pictures of single images, and beside each where the model sees its answer."""

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from imageproof.base._dataset import Floats, Images
from imageproof.judge._explain import Heat
from imageproof.report.plots import _theme

if TYPE_CHECKING:
    from imageproof.answer._predict import Answer
    from imageproof.judge.scores import Mistakes

COLUMNS = 8
GAP = 0.07  # of the height, between an image and its heat
LEGEND = "orange: what speaks for the answer; blue: "


class Panel(NamedTuple):
    """An image, its heat (height, width), a line above both, and lines below."""

    image: Images
    heat: Heat
    above: str
    below: str


def mistakes(
    wrong: "Mistakes",
    heat: Heat,
    *,
    names: list[str],
    title: str,
) -> Figure:
    """One panel per mistake, the most confident first; says so where there is none.

    `heat` (n, height, width) is what speaks for the answer, against the truth.
    """
    panels = [
        Panel(
            image,
            warmth,
            _theme.in_panel(f"is {names[truth]}"),
            _answer(names[answer], share, str(row)),
        )
        for image, truth, answer, share, row, warmth in zip(*wrong, heat, strict=True)
    ]
    if not panels:
        return _theme.new_figure(5.2, 1, f"{title}\nno mistake")
    return _figure(panels, f"{title}\n{LEGEND}for the truth")


def answers(
    images: Images,
    heat: Heat,
    answers: "Sequence[Answer]",
    *,
    title: str,
) -> Figure:
    """One panel per answer: the model's input (n, …), and what speaks for the answer in it."""
    panels = []
    for image, warmth, answer in zip(images, heat, answers, strict=True):
        below = _answer(answer.predicted_name, max(answer.probabilities), answer.file)
        panels.append(Panel(image, warmth, "", below))
    return _figure(panels, f"{title}\n{LEGEND}against it")


def _figure(panels: Sequence[Panel], title: str) -> Figure:
    columns = min(COLUMNS, len(panels))
    rows = ceil(len(panels) / columns)
    height, width = panels[0].heat.shape
    lines = max((panel.above + panel.below).count("\n") for panel in panels)
    panel_height = 3.5 * (1 + GAP) * height / width + 0.65 + 0.2 * lines
    title_height = 0.5 + 0.2 * title.count("\n")
    size = max(1.85 * columns, 5.2), panel_height * rows + title_height
    figure = _theme.new_figure(*size, title)
    grid = _theme.blank_grid(figure, rows, columns)
    gap = np.ones((max(1, round(GAP * height)), width, 3))
    for axes, panel in zip(grid.flat, panels, strict=False):
        axes.imshow(np.concatenate([_colours(panel.image), gap, _tinted(panel.image, panel.heat)]))
        axes.set_title(panel.above, parse_math=False)
        axes.set_xlabel(panel.below, parse_math=False)
    return figure


def _answer(name: str, probability: float, image: str) -> str:
    if len(image) > 20:  # the path of a file
        image = f"…{image[-19:]}"
    confidence = ">99.9 %" if probability >= 0.9995 else f"{100 * probability:.1f} %"
    called = _theme.in_panel(f"called {name}")
    return f"{called}\n{confidence}\n{image}"


def _colours(image: Images) -> Floats:
    """Colours 0…1 (height, width, 3); grey values dark on light, as ink on paper."""
    values = image / 255
    return values if image.ndim == 3 else 1 - np.repeat(values[..., None], 3, axis=2)


def _tinted(image: Images, heat: Heat) -> Floats:
    """The image in pale grey, tinted by its heat: the largest value gets the full colour."""
    pale = 0.75 + 0.25 * _colours(image).mean(axis=2, keepdims=True)
    strength = (abs(heat) / max(abs(heat).max(), 1e-9))[..., None]
    tint = np.where(heat[..., None] > 0, to_rgb(_theme.VERMILION), to_rgb(_theme.BLUE))
    return np.asarray(pale + strength * (tint - pale))  # never above 1 by rounding
