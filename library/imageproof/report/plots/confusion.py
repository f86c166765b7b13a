"""Confusion matrices as pictures: cells, and ribbons from reference to prediction."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline
from numpy.typing import NDArray

from imageproof.base.dataset import Matrix
from imageproof.judge.confusion import MANY_CLASSES
from imageproof.report.plots import theme

CORRECT = LinearSegmentedColormap.from_list("correct", ["#F2F7FA", theme.BLUE])
WRONG = LinearSegmentedColormap.from_list("wrong", ["#FDEEE5", theme.VERMILION])

Floats = NDArray[np.float64]


def confusion_matrix(
    matrix: Matrix, *, names: list[str], title: str, order: Sequence[int]
) -> Figure:
    """Count and per cent of the reference class in each cell; colour alone if classes are many.

    Correct cells are blue by their per cent; errors are orange by the square root of their
    per cent of the largest error, so that a few errors among thousands of hits are seen.
    """
    matrix, names = _arranged(matrix, names, order)
    classes, many = len(names), len(names) > MANY_CLASSES
    share = matrix / np.maximum(matrix.sum(axis=0), 1)
    correct = np.eye(classes, dtype=bool)
    errors = np.where(correct, 0, share)
    cell = max(4 / classes, 0.8) if classes <= 15 else 0.64  # inches
    if many:
        cell = min(0.3, 16 / classes)
        title += "\nclasses that are taken for each other stand together\n"
        title += f"orange: errors; the darkest are {100 * errors.max():.1f} % of their class"
    figure, axes = theme.new_axes(cell * classes + 1.6, cell * classes + 1.6, title)
    strength = np.sqrt(errors / max(errors.max(), 1e-12))
    colours = np.where(correct[..., None], CORRECT(share), WRONG(strength))  # RGBA
    colours[~correct & (matrix == 0)] = 1
    axes.imshow(colours)
    totals = matrix.sum(axis=0)
    centred: Any = {"ha": "center", "va": "center", "fontsize": 12 if classes <= 15 else 9}
    for (row, column), count in np.ndenumerate(matrix[:0] if many else matrix):
        dark = colours[row, column, :3] @ [0.299, 0.587, 0.114] < 0.6
        axes.text(
            column,
            row,
            f"{count:,}\n{theme.percent(int(count), int(totals[column]))}",
            color="white" if dark else theme.INK if count else "#B0B0B0",
            fontweight="bold" if count and row != column else "normal",
            **centred,
        )
    for axis, label in ((axes.xaxis, "Reference"), (axes.yaxis, "Prediction")):
        theme.class_ticks(axis, names, cell)
        axis.set_ticks([] if many else np.arange(classes + 1) - 0.5, minor=True)
        axis.set_label_text(label, fontsize=13)
    if max(map(len, names)) > 9 * cell:
        axes.tick_params(axis="x", labelrotation=45)
        for tick in axes.get_xticklabels():
            tick.set(ha="right", rotation_mode="anchor")
    axes.grid(which="minor", color="#D9D9D9", linewidth=0.8)
    axes.tick_params(which="both", length=0, labelsize=9 if many else 13)
    axes.spines[:].set_visible(False)
    return figure


def alluvial(matrix: Matrix, *, names: list[str], title: str, order: Sequence[int]) -> Figure:
    """Ribbons from reference to prediction: correct predictions grey, errors red.

    Where errors are rare, correct predictions are drawn narrower by a whole factor, which is
    named below the title: to twice the width of all errors. A class without rows is left out,
    and so are all but the MANY classes with the most errors.
    """
    matrix, names = _arranged(matrix, names, order)
    of_class = matrix.sum(axis=0) + matrix.sum(axis=1) - 2 * matrix.diagonal()
    drawn = np.sort(np.argsort(-of_class, kind="stable")[: theme.MANY])
    title = theme.of_many(title, len(names), "errors among the most confused")
    matrix, names = _arranged(matrix, names, drawn.tolist())
    correct = int(np.trace(matrix))
    wrong = int(matrix.sum()) - correct
    factor = min(max(round(correct / (2 * wrong)), 1), 50) if wrong else 1
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


def _arranged(matrix: Matrix, names: list[str], order: Sequence[int]) -> tuple[Matrix, list[str]]:
    return matrix[np.ix_(order, order)], [names[label] for label in order]


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
    curve = [Outline.CURVE4] * 3
    codes = [Outline.MOVETO, *curve, Outline.LINETO, *curve, Outline.CLOSEPOLY]
    outline = Outline([*upper, *lower, (0, left)], codes)
    return PathPatch(outline, facecolor=colour, linewidth=0, alpha=0.7)


def _name_boxes(
    axes: Axes,
    side: Literal["left", "right"],
    tops: Floats,
    widths: Floats,
    counts: Matrix,
    names: list[str],
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
