"""Confusion matrices as pictures: cells, and ribbons from reference to prediction."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from imageproof.base._dataset import Floats, Matrix
from imageproof.judge._confusion import MANY_CLASSES
from imageproof.report.plots import _theme

CORRECT = LinearSegmentedColormap.from_list("correct", ["#F2F7FA", _theme.BLUE])
WRONG = LinearSegmentedColormap.from_list("wrong", ["#FDEEE5", _theme.VERMILION])


def confusion_matrix(
    matrix: Matrix,
    *,
    names: list[str],
    title: str,
    order: Sequence[int],
) -> Figure:
    """Count and per cent of the reference class in each cell; colour alone if classes are many.

    Correct cells are blue by their per cent; errors are orange by the square root of their
    per cent of the largest error, so that a few errors among thousands of hits are seen.
    """
    matrix, names = _arranged(matrix, names, order)
    classes = len(names)
    many = classes > MANY_CLASSES
    share = matrix / np.maximum(matrix.sum(axis=0), 1)
    correct = np.eye(classes, dtype=bool)
    errors = np.where(correct, 0, share)
    cell = max(4 / classes, 0.8)  # inches
    if many:
        cell = min(0.3, 16 / classes)
        title += (
            "\nclasses that are taken for each other stand together\n"
            f"orange: errors; the darkest are {100 * errors.max():.1f} % of their class"
        )
    font = 9 if many else 13
    room = 1.6 + 0.008 * font * max(0, max(map(len, names)) - 10)  # for the names
    figure, axes = _theme.new_axes(cell * classes + room, cell * classes + room, title)
    strength = np.sqrt(errors / max(errors.max(), 1e-12))
    colours = np.where(correct[..., None], CORRECT(share), WRONG(strength))  # RGBA
    colours[~correct & (matrix == 0)] = 1
    axes.imshow(colours)
    if not many:
        _write_counts(axes, matrix, colours)
    _name_cells(axes, names, cell)
    axes.grid(which="minor", color="#D9D9D9", linewidth=0.8)
    axes.tick_params(which="both", length=0, labelsize=font)
    axes.set_frame_on(False)
    return figure


def _write_counts(axes: Axes, matrix: Matrix, colours: Floats) -> None:
    totals = matrix.sum(axis=0)
    for (row, column), count in np.ndenumerate(matrix):
        # relative luminance: below this, white has more contrast than ink
        dark = colours[row, column, :3] ** 2.2 @ (0.2126, 0.7152, 0.0722) < 0.2
        axes.text(
            column,
            row,
            f"{count:,}\n{_theme.percent(int(count), int(totals[column]))}",
            color="white" if dark else _theme.INK if count else "#757575",
            fontweight="bold" if count and row != column else "normal",
            ha="center",
            va="center",
            fontsize=12,
        )


def _name_cells(axes: Axes, names: list[str], cell: float) -> None:
    """Name the classes along both axes of cells of so many inches, and part the cells."""
    classes = len(names)
    edges = np.arange(0 if classes > MANY_CLASSES else classes + 1) - 0.5
    for axis, label in ((axes.xaxis, "Reference"), (axes.yaxis, "Prediction")):
        _theme.class_ticks(axis, names, cell)
        axis.set_ticks(edges, minor=True)
        axis.set_label_text(label, fontsize=13)
    if max(map(len, names)) > 9 * cell:
        axes.tick_params(axis="x", labelrotation=45)
        for tick in axes.get_xticklabels():
            tick.set(ha="right", rotation_mode="anchor")


def alluvial(
    matrix: Matrix,
    *,
    names: list[str],
    title: str,
    order: Sequence[int],
) -> Figure:
    """Ribbons from reference to prediction: correct predictions grey, errors red.

    Where errors are rare, correct predictions are drawn narrower by a whole factor, which is
    named below the title: to twice the width of all errors. A class without rows is left out,
    and so are all but the MANY classes with the most errors.
    """
    matrix, names = _arranged(matrix, names, order)
    title = _theme.title_with_limit(title, len(names), "errors among the most confused")
    errors = matrix.sum(axis=0) + matrix.sum(axis=1) - 2 * matrix.diagonal()
    first = np.argsort(-errors, kind="stable")[: _theme.MANY]
    matrix, names = _arranged(matrix, names, np.sort(first).tolist())
    hits = int(np.trace(matrix))
    mistakes = int(matrix.sum()) - hits
    factor = min(max(round(hits / (2 * mistakes)), 1), 50) if mistakes else 1
    widths = matrix / np.where(np.eye(len(matrix), dtype=bool), factor, 1)
    gap = widths.sum() / (2 * len(names))
    width = 6.4 + 0.16 * max(map(len, names))
    figure = _theme.new_figure(width, 0.45 * len(names) + 1.7, title)
    axes = figure.add_subplot()
    _draw_ribbons(axes, widths, gap)
    axes.set(xlim=(0, 1), ylim=(1.5 * widths.sum(), -gap / 4), yticks=[], frame_on=False)
    axes.set_xticks([0, 1], ["Reference", "Prediction"])
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize=12)
    _name_boxes(axes, "left", widths.T, gap, matrix.T, names)
    _name_boxes(axes, "right", widths, gap, matrix, names)
    narrowed = f", drawn {factor} times narrower than errors" if factor > 1 else ""
    axes.set_title(f"grey: correct{narrowed} · red: errors", fontsize=10)
    return figure


def _arranged(
    matrix: Matrix,
    names: list[str],
    order: Sequence[int],
) -> tuple[Matrix, list[str]]:
    return matrix[np.ix_(order, order)], [_theme.short(names[label]) for label in order]


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
    return np.asarray((steps.cumsum() - steps)[:, None] + within)


def _draw_ribbons(axes: Axes, widths: Floats, gap: float) -> None:
    """Bands from x = 0 to x = 1, level at both ends; the correct predictions are below."""
    left = _ribbon_tops(widths.T, gap).T
    right = _ribbon_tops(widths, gap)
    x = np.linspace(0, 1, 60)
    rise = x**2 * (3 - 2 * x)
    for row, column in sorted(np.argwhere(widths).tolist(), key=lambda cell: cell[0] != cell[1]):
        upper = left[row, column] + (right[row, column] - left[row, column]) * rise
        axes.fill_between(
            x,
            upper,
            upper + widths[row, column],
            color=_theme.PALE_GREY if row == column else _theme.RED,
            linewidth=0,
            alpha=0.7,
        )


def _name_boxes(
    axes: Axes,
    side: Literal["left", "right"],
    widths: Floats,
    gap: float,
    counts: Matrix,
    names: list[str],
) -> None:
    """Draw and name the boxes of one side, which are the rows of the matrices."""
    totals = counts.sum(axis=1)
    present = totals > 0
    begin = _ribbon_tops(widths, gap).min(axis=1)[present]
    end = begin + widths.sum(axis=1)[present]
    labels = [  # isolated, so that the counts do not change places beside a name in Hebrew
        f"\u2068{name}\u2069: {total - correct:,} of {total:,} wrong"
        for name, total, correct in zip(names, totals, counts.diagonal(), strict=True)
        if total
    ]
    axis = axes.secondary_yaxis(side)
    axis.set_yticks((begin + end) / 2, labels, parse_math=False)
    axis.tick_params(length=0)
    axis.set_frame_on(False)
    x = np.full(len(begin), 0 if side == "left" else 1)
    axes.vlines(x, begin, end, color=_theme.INK, linewidth=4)
