"""Pictures of a model: mistakes, reliability, learning curves; what two revisions differ in."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from digits.report.plots import theme
from digits.report.plots.confusion import confusion_matrix
from digits.toolkit.dataset import Matrix
from digits.toolkit.judgement.confusion import clustered

if TYPE_CHECKING:
    import pandas as pd

    from digits.evaluation.scores import Mistakes

History = Sequence[Mapping[str, float]]


def mistakes(found: "Mistakes", *, names: list[str], title: str) -> Figure:
    """One panel per mistake, the most confident first; says so where there is none."""
    count = len(found.rows)
    columns = min(6, max(count, 1))
    rows = ceil(count / columns) or 1
    height, width = found.images.shape[1:3]
    below = 0.85 if all(len(str(name)) <= 10 for name in found.rows) else 1.05  # lines of text
    size = max(1.85 * columns, 5), (1.75 * height / width + below) * rows + 0.5
    figure = theme.new_figure(*size, title)
    grid = theme.blank_grid(figure, rows, columns)
    for axes, image, truth, prediction, probability, row in zip(grid.flat, *found, strict=False):
        axes.set_axis_on()
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_color("#D9D9D9")
        axes.imshow(image, cmap="gray_r", vmin=0, vmax=255)
        axes.set_title(f"is {names[truth]}", fontsize=11, parse_math=False)
        confidence = ">99.9 %" if probability >= 0.9995 else f"{100 * probability:.1f} %"
        called = f"called {names[prediction]}\n{confidence}{theme.beside(str(row))}"
        axes.set_xlabel(called, fontsize=11, color=theme.VERMILION, parse_math=False)
    if count == 0:
        grid[0, 0].text(0.5, 0.5, "no mistake", ha="center", va="center", fontsize=12)
    return figure


def reliability(tables: "Mapping[str, pd.DataFrame]", *, title: str) -> Figure:
    """Accuracy against confidence in bins, with intervals, and the rows of each bin below.

    A point on the diagonal is a model that is right as often as it says. `tables` has one line
    per bin, as `scores.reliability` returns them, by the heading of each panel.
    """
    figure = theme.new_figure(5.5 * len(tables), 6.6, title)
    panels = figure.subplots(2, len(tables), squeeze=False, sharex=True, height_ratios=[3, 1])
    for (heading, table), (upper, lower) in zip(tables.items(), panels.T, strict=True):
        away = abs(table["accuracy"] - table[["lower", "upper"]].T).to_numpy()
        upper.plot([0, 1], [0, 1], "--", color=theme.GREY)
        points = table["confidence"], table["accuracy"], away
        upper.errorbar(*points, fmt="o", color=theme.BLUE, clip_on=False)
        upper.set(xlim=(0, 1.02), ylim=(0, 1.02))
        upper.set_ylabel("accuracy, with 95 % interval", fontsize=12)
        theme.set_title(upper, heading)
        boxes = table["above"], table["rows"], table["up_to"] - table["above"]
        bars = lower.bar(*boxes, align="edge", color=theme.PALE_GREY, ec="white")
        lower.bar_label(bars, fmt="{:,.0f}", rotation=90, padding=3, fontsize=9)
        lower.set(yscale="log", ylim=(0.5, 300 * table["rows"].max()), yticks=[])
        lower.set_xlabel("confidence: the highest probability", fontsize=12)
        lower.set_ylabel("rows (log)", fontsize=12)
        for axes in (upper, lower):
            theme.quiet_axes(axes)
    return figure


def learning_curves(histories: Mapping[str, History], *, title: str) -> Figure:
    """Loss and accuracy after each epoch: training dashed, validation solid, a colour per model.

    `histories` has `loss accuracy val_loss val_accuracy` per model and epoch, counted from 0.
    """
    figure = theme.new_figure(11, 4.6, title)
    panels = figure.subplots(1, 2)
    for axes, measure in zip(panels, ("loss", "accuracy"), strict=True):
        for (model, history), colour in zip(histories.items(), cycle(theme.SERIES), strict=False):
            marker = "o" if len(history) <= 40 else None
            common: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 4}
            training = [epoch[measure] for epoch in history]
            validation = [epoch[f"val_{measure}"] for epoch in history]
            axes.plot(training, "--", markerfacecolor="white", label=f"{model}, training", **common)
            axes.plot(validation, "-", linewidth=1.9, label=f"{model}, validation", **common)
        theme.quiet_axes(axes)
        axes.set_xlabel("epoch", fontsize=12)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        theme.set_title(axes, measure)
    series, columns = panels[0].get_legend_handles_labels(), min(2 * len(histories), 4)
    figure.legend(*series, loc="outside lower center", ncols=columns, frameon=False, fontsize=11)
    return figure


def draw_revisions(
    folder: Path,
    model: str,
    matrices: Mapping[str, tuple[Matrix, list[str]]],
    histories: Mapping[str, History],
) -> list[str]:
    """Draw a model's results, by `old` or `new`, into a folder; returns the files' names."""
    pictures = {f"{model}-learning-curves.png": learning_curves(histories, title=model)}
    for name, (matrix, names) in matrices.items():
        both = np.sum([other for other, same in matrices.values() if same == names], axis=0)
        title, order = f"{model}, test, {name}", clustered(both)
        drawn = confusion_matrix(matrix, names=names, title=title, order=order)
        pictures[f"{model}-{name}-confusion.png"] = drawn
    for file, picture in pictures.items():
        theme.save(picture, folder / file)
    return sorted(pictures)
