"""What all pictures share: colours, how numbers are written, how a figure is made and saved."""

import warnings
from pathlib import Path
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure

from imageproof.base.files import replacing
from imageproof.base.text import cut
from imageproof.pages import _colours

BLUE = _colours.BLUE
VERMILION = _colours.VERMILION
# told apart by lightness
RED = "#C4122F"
PALE_GREY = "#C4C4C4"
GREY = "#8C8C8C"
INK = "#1F2328"

MANY = 30  # classes; what is said of each in words or a picture is said of no more


def percent(count: int, total: int) -> str:
    """`count` of `total` in per cent, `n/a` if the total is 0; never rounded to 0 or 100 %."""
    if total == 0:
        return "n/a"
    if count in (0, total):
        return f"{100 * count // total} %"
    share = 100 * count / total
    if share < 0.05:
        return "<0.1 %"
    return ">99.9 %" if share >= 99.95 else f"{share:.1f} %"


def new_figure(width: float, height: float, title: str = "") -> Figure:
    """An empty figure, size in inches, whose layout leaves room for all labels."""
    figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
    if title:
        figure.suptitle(title, parse_math=False)
    return figure


def title_with_limit(title: str, classes: int, which: str = "the first") -> str:
    """The title, which says so where only MANY of the classes are shown."""
    return title if classes <= MANY else f"{title}\n{which} {MANY} of {classes:,} classes"


def short(name: str) -> str:
    """A name as pictures show it: a file system allows 255 characters."""
    return cut(name, 64)


def in_panel(text: str) -> str:
    """The text in lines that are no wider than a panel of a grid."""
    return fill(short(text), 18)


def class_ticks(axis: Axis, names: list[str], inches: float) -> None:
    """Name classes that are so many inches apart; where that is narrow, every second, third …"""
    step = max(1, round(0.2 / inches))
    axis.set_ticks(range(0, len(names), step), names[::step], parse_math=False)


def new_axes(width: float, height: float, title: str) -> tuple[Figure, Axes]:
    figure = new_figure(width, height)
    axes = figure.add_subplot()
    set_title(axes, title)
    return figure, axes


def blank_grid(figure: Figure, rows: int, columns: int) -> np.ndarray:
    """Axes (rows, columns) for images, without frames."""
    bare = {"frame_on": False, "xticks": [], "yticks": []}
    return figure.subplots(rows, columns, squeeze=False, subplot_kw=bare)


def save(figure: Figure, path: Path) -> None:
    """Write the figure as PNG, atomically; the same figure gives the same bytes."""
    # that the font lacks a letter of a name (own-data.md names another)
    quiet = warnings.catch_warnings(action="ignore", category=UserWarning)
    with replacing(path) as temporary, quiet:
        figure.savefig(temporary, format="png")


def set_title(axes: Axes, text: str) -> None:
    """A heading above the axes; `$` in a name is no formula."""
    axes.set_title(text, pad=12, wrap=True, parse_math=False)


def quiet_axes(axes: Axes) -> None:
    """Draw a light grid behind the data and no box around it."""
    axes.grid(color="#E3E3E3", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(color=GREY)
