"""Pictures of what a model saw: how foreign the images are, and the most foreign ones."""

from math import ceil

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from digits.core.dataset import Images
from digits.evaluation.drift import Distances
from digits.reporting.plots import theme

BINS = 40
PANELS_A_ROW = 12


def distances(known: Distances, new: Distances, *, cut: float, title: str) -> Figure:
    """The share of known and of new images at each distance, and the line from which one is far.

    The last bin holds all that are farther.
    """
    figure, axes = theme.new_axes(9, 4, title)
    end = max(2 * cut, float(np.quantile(new, 0.99)), 1e-6)
    edges = np.linspace(0, end, BINS + 1).tolist()
    for values, colour, label in ((known, theme.BLUE, "known"), (new, theme.VERMILION, "new")):
        shares = np.full(len(values), 100 / len(values))
        axes.hist(
            np.minimum(values, end), edges, weights=shares, histtype="step", linewidth=2,
            color=colour, label=f"{label}: {len(values):,} images",
        )  # fmt: skip
    axes.axvline(cut, color=theme.GREY, linestyle="--", label="95 % of the known are nearer")
    axes.set_xlabel("cosine distance from the nearest known image", fontsize=12)
    axes.set_ylabel("% of the images", fontsize=12)
    axes.set_yscale("log")  # few of the images are far, and they matter
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    theme.quiet_axes(axes, grid="y")
    theme.add_legend(figure, columns=3)
    return figure


def foreign(images: Images, *, title: str) -> Figure:
    """The images uint8 (n, height, width) in rows of twelve, in their order."""
    rows = ceil(len(images) / PANELS_A_ROW)
    height, width = images.shape[1:]
    figure = theme.new_figure(0.85 * PANELS_A_ROW, 0.85 * height / width * rows + 0.5, title)
    grid = theme.blank_grid(figure, rows, PANELS_A_ROW)
    for axes, image in zip(grid.flat, images, strict=False):
        theme.show(axes, image)
    return figure
