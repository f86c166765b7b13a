"""How every figure is made, drawn and saved."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from digits.core.files import replacing
from digits.reporting.plots.theme import GREY

DPI = 100


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, size in inches; labels are never cut off."""
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def to_array(figure: Figure) -> NDArray[np.uint8]:
    """The figure drawn, as uint8 (height, width, 4) RGBA pixels."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.array(canvas.buffer_rgba(), dtype=np.uint8)  # type: ignore[no-untyped-call]


def save(figure: Figure, path: Path) -> None:
    """Write the figure as PNG, atomically; the same figure gives the same bytes."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def title(axes: Axes, text: str) -> None:
    """A heading above the axes; `$` in a name is no formula."""
    axes.set_title(text, fontsize=13, pad=12, wrap=True, parse_math=False)


def quiet_axes(axes: Axes, *, grid: str = "both") -> None:
    """Light grid behind the data, no box."""
    axes.grid(axis=grid, color="#E3E3E3", linewidth=0.8)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(labelsize=11, color=GREY)


def hide_ticks(axes: Axes) -> None:
    """Keep the picture, drop ticks and box."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
