"""Pictures of one trained model: confusion matrix, alluvial, mistakes; and learning curves.

A confusion matrix is counts int64 (classes, classes): rows predictions, columns the reference.
"""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from digits.core.colours import BLUE, VERMILION
from digits.core.dataset import Matrix
from digits.reporting.plots.theme import (
    INK,
    PALE_GREY,
    RED,
    new_figure,
    percent,
    quiet_axes,
    series_colour,
    set_title,
)

if TYPE_CHECKING:
    from digits.evaluation.scores import Mistakes

CORRECT = LinearSegmentedColormap.from_list("correct", ["#F2F7FA", BLUE])
WRONG = LinearSegmentedColormap.from_list("wrong", ["#FDEEE5", VERMILION])
MISTAKES_A_ROW = 6
LARGEST_FACTOR = 50  # by which an alluvial narrows correct predictions
FEW_EPOCHS = 40  # up to here each one has a marker

Floats = NDArray[np.float64]
History = Sequence[Mapping[str, float]]


def confusion_matrix(matrix: Matrix, *, names: list[str], title: str) -> Figure:
    """Count and per cent of the reference class in each cell.

    Correct cells are blue by their per cent; errors are orange by the square root of their
    per cent of the largest error, so that a few errors among thousands of hits are seen.
    """
    classes = len(names)
    cell = max(4 / classes, 0.8 if classes <= 15 else 0.64)  # inches
    figure = new_figure(cell * classes + 1.6, cell * classes + 1.6)
    axes = figure.add_subplot()
    colours = _cell_colours(matrix)
    axes.imshow(colours)
    totals = matrix.sum(axis=0)
    for (row, column), count in np.ndenumerate(matrix):
        wrong = bool(count) and row != column
        axes.text(
            column,
            row,
            f"{count:,}\n{percent(int(count), int(totals[column]))}",
            ha="center",
            va="center",
            color=_text_colour(colours[row, column], int(count)),
            fontsize=12 if classes <= 15 else 9,
            fontweight="bold" if wrong else "normal",
        )
    _name_classes(axes, names, upright=max(map(len, names)) <= 9 * cell)
    set_title(axes, title)
    return figure


def _cell_colours(matrix: Matrix) -> Floats:
    """RGBA (classes, classes, 4)."""
    share = matrix / np.maximum(matrix.sum(axis=0), 1)
    correct = np.eye(len(matrix), dtype=bool)
    errors = np.where(correct, 0, share)
    strength = np.sqrt(errors / max(errors.max(), 1e-12))
    colours = np.where(correct[..., None], CORRECT(share), WRONG(strength))
    colours[~correct & (matrix == 0)] = 1
    return np.asarray(colours, dtype=np.float64)


def _text_colour(cell: Floats, count: int) -> str:
    dark = cell[:3] @ [0.299, 0.587, 0.114] < 0.6
    return "white" if dark else INK if count else "#B0B0B0"


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


def alluvial(matrix: Matrix, *, names: list[str], title: str) -> Figure:
    """Ribbons from reference to prediction: correct predictions grey, errors red.

    Where errors are rare, correct predictions are drawn narrower by a whole factor, which is
    named below the title, so that the errors fill about a third of the picture. The counts at
    both sides are the true ones. A class without rows is left out on that side.
    """
    factor = narrowing(matrix)
    widths = matrix / np.where(np.eye(len(matrix), dtype=bool), factor, 1)
    gap = widths.sum() / (2 * len(names))
    from_reference, from_prediction = _ribbon_tops(widths.T, gap), _ribbon_tops(widths, gap)
    figure = new_figure(6.4 + 0.16 * max(map(len, names)), 0.45 * len(names) + 1.7, title)
    axes = figure.add_subplot()
    correct_first = sorted(np.argwhere(matrix).tolist(), key=lambda cell: cell[0] != cell[1])
    for prediction, reference in correct_first:
        left, right = from_reference[reference, prediction], from_prediction[prediction, reference]
        colour = PALE_GREY if prediction == reference else RED
        axes.add_patch(_ribbon(left, right, widths[prediction, reference], colour))
    axes.set(xlim=(0, 1), ylim=(1.5 * widths.sum(), -gap / 4))
    axes.set_xticks([0, 1], ["Reference", "Prediction"])
    axes.xaxis.tick_top()
    axes.set_yticks([])
    axes.tick_params(length=0, labelsize=12)
    axes.spines[:].set_visible(False)
    _name_boxes(axes, "left", from_reference, widths.T, _wrong_of(names, matrix.T))
    _name_boxes(axes, "right", from_prediction, widths, _wrong_of(names, matrix))
    narrowed = f", drawn {factor} times narrower than errors" if factor > 1 else ""
    axes.set_title(f"grey: correct{narrowed} · red: errors", fontsize=10, pad=10)
    return figure


def narrowing(matrix: Matrix) -> int:
    """How many times narrower correct predictions are drawn: to twice the width of all errors.

    1 where they are no wider anyway or nothing is wrong; 50 at most.
    """
    correct = int(np.trace(matrix))
    wrong = int(matrix.sum()) - correct
    return min(max(round(correct / (2 * wrong)), 1), LARGEST_FACTOR) if wrong else 1


def _ribbon_tops(widths: Floats, gap: float) -> Floats:
    """The upper end of each cell's ribbon on the side of the rows, from the top of the picture.

    Each row of `widths` (classes, classes) is a box; boxes stand below each other with a gap. In
    each box the ribbon of the correct predictions comes first.
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
    axes: Axes, side: Literal["left", "right"], tops: Floats, widths: Floats, labels: list[str]
) -> None:
    """Draw and name the boxes of one side; `tops` and `widths` have a row per box."""
    sizes = widths.sum(axis=1)
    present = sizes > 0
    begin, end = tops.min(axis=1)[present], (tops.min(axis=1) + sizes)[present]
    axis = axes.secondary_yaxis(side)
    axis.set_yticks((begin + end) / 2, np.array(labels)[present], parse_math=False, fontsize=10)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    x = np.full(len(begin), 0 if side == "left" else 1)
    axes.vlines(x, begin, end, color=INK, linewidth=4)


def _wrong_of(names: list[str], matrix: Matrix) -> list[str]:
    """What is written beside each row of the matrix."""
    totals, correct = matrix.sum(axis=1), matrix.diagonal()
    return [
        f"{name}: {total - hits:,} of {total:,} wrong"
        for name, total, hits in zip(names, totals, correct, strict=True)
    ]


def mistakes(found: "Mistakes", *, names: list[str], title: str) -> Figure:
    """One panel per mistake, the most confident first; says so where there is none."""
    count = len(found.rows)
    columns = min(MISTAKES_A_ROW, max(count, 1))
    rows = ceil(count / columns) or 1
    height, width = found.images.shape[1:]
    figure = new_figure(max(1.85 * columns, 5), (1.75 * height / width + 0.85) * rows + 0.5, title)
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes in panels.flat:
        axes.set_axis_off()
    for axes, image, truth, prediction, probability, row in zip(panels.flat, *found, strict=False):
        axes.set_axis_on()
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_color("#D9D9D9")
        axes.imshow(image, cmap="gray_r", vmin=0, vmax=255)
        axes.set_title(f"is {names[truth]}", fontsize=11, parse_math=False)
        confidence = ">99.9 %" if probability >= 0.9995 else f"{100 * probability:.1f} %"
        called = f"called {names[prediction]}\n{confidence}, row {row}"
        axes.set_xlabel(called, fontsize=11, color=VERMILION, parse_math=False)
    if count == 0:
        panels[0, 0].text(0.5, 0.5, "no mistake", ha="center", va="center", fontsize=12)
    return figure


def learning_curves(histories: Mapping[str, History], *, title: str) -> Figure:
    """Loss and accuracy after each epoch: training dashed, validation solid, a colour per model.

    `histories` has `loss accuracy val_loss val_accuracy` per model and epoch, counted from 0.
    """
    figure = new_figure(11, 4.6, title)
    panels = figure.subplots(1, 2)
    for axes, measure in zip(panels, ("loss", "accuracy"), strict=True):
        for index, (model, history) in enumerate(histories.items()):
            _draw_curves(axes, history, measure, model, series_colour(index))
        quiet_axes(axes)
        axes.set_xlabel("epoch", fontsize=12)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        set_title(axes, measure)
    handles, labels = panels[0].get_legend_handles_labels()
    columns = min(len(labels), 4)
    figure.legend(
        handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize=11
    )
    return figure


def _draw_curves(axes: Axes, history: History, measure: str, model: str, colour: str) -> None:
    marker = "o" if len(history) <= FEW_EPOCHS else None
    common: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 4}
    training = [epoch[measure] for epoch in history]
    validation = [epoch[f"val_{measure}"] for epoch in history]
    axes.plot(training, "--", markerfacecolor="white", label=f"{model}, training", **common)
    axes.plot(validation, "-", linewidth=1.9, label=f"{model}, validation", **common)
