"""The confusion matrix as a still picture."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from digits.reporting.plots.style import new_figure
from digits.reporting.plots.style import title as set_title
from digits.reporting.plots.theme import BLUE, INK, VERMILION, percent

RIGHT = LinearSegmentedColormap.from_list("right", ["#F2F7FA", BLUE])
WRONG = LinearSegmentedColormap.from_list("wrong", ["#FDEEE5", VERMILION])


def confusion_matrix(matrix: NDArray[np.int64], *, names: list[str], title: str) -> Figure:
    """Count and per cent of the reference class in each cell.

    Correct cells are blue by their per cent; errors are orange by the square root of their
    per cent of the largest error, so that a few errors among thousands of hits are seen.

    Args:
        matrix: counts (classes, classes), rows are predictions, columns the reference.
        names: one name per class.
        title: what stands above it.
    """
    classes = len(names)
    cell = max(4 / classes, 0.8 if classes <= 15 else 0.64)  # inches
    figure = new_figure(cell * classes + 1.6, cell * classes + 1.6)
    axes = figure.add_subplot()
    axes.imshow(_cell_colours(matrix))
    totals = matrix.sum(axis=0)
    size = 12 if classes <= 15 else 9
    for (row, column), count in np.ndenumerate(matrix):
        _write_cell(axes, row, column, int(count), int(totals[column]), size)
    _name_classes(axes, names, upright=max(map(len, names)) <= 9 * cell)
    set_title(axes, title)
    return figure


def _cell_colours(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """RGBA (classes, classes, 4)."""
    share = matrix / np.maximum(matrix.sum(axis=0), 1)
    right = np.eye(len(matrix), dtype=bool)
    errors = np.where(right, 0, share)
    strength = np.sqrt(errors / max(errors.max(), 1e-12))
    colours = np.where(right[..., None], RIGHT(share), WRONG(strength))
    colours[~right & (matrix == 0)] = 1
    return np.asarray(colours, dtype=np.float64)


def _write_cell(axes: Axes, row: int, column: int, count: int, total: int, size: float) -> None:
    image = axes.images[0].get_array()
    assert image is not None
    dark = image[row, column, :3] @ [0.299, 0.587, 0.114] < 0.6
    colour = "white" if dark else INK if count else "#B0B0B0"
    axes.text(
        column,
        row,
        f"{count:,}\n{percent(count, total)}",
        ha="center",
        va="center",
        color=colour,
        fontsize=size,
        fontweight="bold" if count and row != column else "normal",
    )


def _name_classes(axes: Axes, names: list[str], *, upright: bool) -> None:
    places = range(len(names))
    axes.set_xticks(places, names, parse_math=False)
    if not upright:
        axes.tick_params(axis="x", labelrotation=45)
        for label in axes.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
    axes.set_yticks(places, names, parse_math=False)
    axes.set_xticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="#D9D9D9", linewidth=0.8)
    axes.tick_params(which="both", length=0, labelsize=13)
    axes.set_xlabel("Reference", fontsize=13)
    axes.set_ylabel("Prediction", fontsize=13)
    axes.spines[:].set_visible(False)
