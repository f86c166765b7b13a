"""The most confident mistakes, each with truth, prediction and probability."""

from math import ceil
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from digits.core.dataset import Images
from digits.reporting.plots.style import new_figure
from digits.reporting.plots.theme import VERMILION

if TYPE_CHECKING:
    from digits.evaluation.mistakes import Mistakes

COLUMNS = 6


def mistakes(found: "Mistakes", *, names: list[str], title: str) -> Figure:
    """One panel per mistake, the surest first; says so where there is none."""
    count = len(found.rows)
    columns = min(COLUMNS, max(count, 1))
    rows = ceil(count / columns) or 1
    height, width = found.images.shape[1:]
    figure = new_figure(max(1.85 * columns, 5), (1.75 * height / width + 0.85) * rows + 0.5)
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes in panels.flat:
        axes.set_axis_off()
    for axes, image, truth, prediction, probability, row in zip(panels.flat, *found, strict=False):
        _show(axes, image)
        axes.set_title(f"is {names[truth]}", fontsize=11, parse_math=False)
        called = f"called {names[prediction]}\n{_sure(probability)}, row {row}"
        axes.set_xlabel(called, fontsize=11, color=VERMILION, parse_math=False)
    if count == 0:
        panels[0, 0].text(0.5, 0.5, "no mistake", ha="center", va="center", fontsize=12)
    figure.suptitle(title, fontsize=13, parse_math=False)
    return figure


def _show(axes: Axes, image: Images) -> None:
    axes.set_axis_on()
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color("#D9D9D9")
    axes.imshow(image, cmap="gray_r", vmin=0, vmax=255)


def _sure(probability: float) -> str:
    return ">99.9 %" if probability >= 0.9995 else f"{100 * probability:.1f} %"
