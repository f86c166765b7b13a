"""The alluvial of a confusion matrix: ribbons from reference to prediction.

The matrix is counts int64 (classes, classes): rows predictions, columns the reference.
"""

from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from numpy.typing import NDArray

from digits.core.dataset import Matrix
from digits.reporting.plots import theme

LARGEST_FACTOR = 50  # by which correct predictions are narrowed

Floats = NDArray[np.float64]
Side = Literal["left", "right"]


def alluvial(matrix: Matrix, *, names: list[str], title: str) -> Figure:
    """Ribbons from reference to prediction: correct predictions grey, errors red.

    Where errors are rare, correct predictions are drawn narrower by a whole factor, which is
    named below the title: to twice the width of all errors. A class without rows is left out.
    """
    correct = int(np.trace(matrix))
    wrong = int(matrix.sum()) - correct
    factor = min(max(round(correct / (2 * wrong)), 1), LARGEST_FACTOR) if wrong else 1
    widths = matrix / np.where(np.eye(len(matrix), dtype=bool), factor, 1)
    gap = widths.sum() / (2 * len(names))
    from_reference, from_prediction = _ribbon_tops(widths.T, gap), _ribbon_tops(widths, gap)
    figure = theme.new_figure(6.4 + 0.16 * max(map(len, names)), 0.45 * len(names) + 1.7, title)
    axes = figure.add_subplot()
    correct_first = sorted(np.argwhere(matrix).tolist(), key=lambda cell: cell[0] != cell[1])
    for prediction, reference in correct_first:
        left, right = from_reference[reference, prediction], from_prediction[prediction, reference]
        colour = theme.PALE_GREY if prediction == reference else theme.RED
        axes.add_patch(_ribbon(left, right, widths[prediction, reference], colour))
    axes.set(xlim=(0, 1), ylim=(1.5 * widths.sum(), -gap / 4))
    axes.set_xticks([0, 1], ["Reference", "Prediction"])
    axes.xaxis.tick_top()
    axes.set_yticks([])
    axes.tick_params(length=0, labelsize=12)
    axes.spines[:].set_visible(False)
    _name_boxes(axes, "left", from_reference, widths.T, matrix.T, names)
    _name_boxes(axes, "right", from_prediction, widths, matrix, names)
    narrowed = f", drawn {factor} times narrower than errors" if factor > 1 else ""
    axes.set_title(f"grey: correct{narrowed} · red: errors", fontsize=10, pad=10)
    return figure


def _ribbon_tops(widths: Floats, gap: float) -> Floats:
    """The upper end of each cell's ribbon, from the top of the picture (classes, classes).

    Each row of `widths` is a box, with a gap below; its correct predictions come first.
    """
    correct = np.eye(len(widths), dtype=bool)
    errors = np.where(correct, 0, widths)
    within = np.diag(widths)[:, None] + errors.cumsum(axis=1) - errors
    within[correct] = 0
    sizes = widths.sum(axis=1)
    steps = np.where(sizes > 0, sizes + gap, 0)
    return np.asarray((steps.cumsum() - steps)[:, None] + within, dtype=np.float64)


def _ribbon(left: float, right: float, width: float, colour: str) -> PathPatch:
    """A band from `left` at x = 0 to `right` at x = 1, level at both ends."""
    upper = [(0, left), (0.5, left), (0.5, right), (1, right)]
    lower = [(x, y + width) for x, y in reversed(upper)]
    curve = [Path.CURVE4] * 3
    codes = [Path.MOVETO, *curve, Path.LINETO, *curve, Path.CLOSEPOLY]
    path = Path([*upper, *lower, (0, left)], codes)
    return PathPatch(path, facecolor=colour, linewidth=0, alpha=0.7)


def _name_boxes(
    axes: Axes, side: Side, tops: Floats, widths: Floats, counts: Matrix, names: list[str]
) -> None:
    """Draw and name the boxes of one side, which are the rows of the matrices."""
    totals = counts.sum(axis=1)
    labels = [
        f"{name}: {total - correct:,} of {total:,} wrong"
        for name, total, correct in zip(names, totals, counts.diagonal(), strict=True)
    ]
    present = totals > 0
    begin = tops.min(axis=1)[present]
    end = begin + widths.sum(axis=1)[present]
    axis = axes.secondary_yaxis(side)
    axis.set_yticks((begin + end) / 2, np.array(labels)[present], parse_math=False, fontsize=10)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    x = np.full(len(begin), 0 if side == "left" else 1)
    axes.vlines(x, begin, end, color=theme.INK, linewidth=4)
