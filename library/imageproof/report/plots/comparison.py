"""Models side by side: accuracy against time."""

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter
from matplotlib.transforms import Bbox

from imageproof.report.plots import theme

# points from a model to its label, the nearest first
HEIGHTS = (8, -34, 44, -70, 80, -106, 116, -142)


class Shares(ScalarFormatter):
    """Ticks with equally many decimals, and none above 1."""

    def __call__(
        self,
        x: float,
        pos: int | None = None,
    ) -> str:
        return str(super().__call__(x, pos)) if x < 1 + 1e-9 else ""


def pareto(
    seconds: Mapping[str, float],
    accuracy: Mapping[str, tuple[float, float, float]],
    *,
    front: Sequence[str],
    title: str,
) -> Figure:
    """Accuracy against training time, one point per model, the Pareto front joined.

    `accuracy` is 0…1, with the ends of its 95 % interval. `front` is empty if times cannot be
    compared, which the picture then says.
    """
    figure, axes = theme.new_axes(6.6, 4.4, title)
    points = {model: (time, accuracy[model][0]) for model, time in seconds.items()}
    steps = np.reshape(sorted(points[model] for model in front), (-1, 2))
    axes.step(
        *steps.T,
        "o-",
        color=theme.BLUE,
        where="post",
    )
    middle = (min(seconds.values()) * max(seconds.values())) ** 0.5
    labels = []
    for model, (time, share) in points.items():
        _, lower, upper = accuracy[model]
        axes.errorbar(
            time,
            share,
            yerr=[[share - lower], [upper - share]],
            fmt="o",
            color=theme.BLUE if model in front else theme.GREY,
            markersize=9,
            capsize=4,
        )
        labels.append(_label(axes, model, points[model], left=time > middle))
    _time_axis(axes, seconds)
    axes.yaxis.set_major_formatter(Shares(useOffset=False))
    axes.set_ylabel("accuracy, with 95 % interval", fontsize=12)
    axes.margins(x=0.18, y=0.15)
    axes.set_xlim(left=max(axes.get_xlim()[0], 0))
    theme.quiet_axes(axes)
    legend = "Pareto front" if front else "no Pareto front: training times cannot be compared"
    figure.legend(
        [legend],
        loc="outside lower right",
        frameon=False,
        fontsize=11,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # as in `theme.save`
        figure.draw_without_rendering()  # the layout places the axes
        _part(axes, labels, [*points.values()])
    return figure


def _label(
    axes: Axes,
    model: str,
    point: tuple[float, float],
    *,
    left: bool,
) -> Annotation:
    time, share = point
    duration = f"{time:.0f} s" if time >= 10 else f"{time:.2g} s"
    return axes.annotate(
        f"{model}\n{share:.4f}, {duration}",
        point,
        xytext=(-10 if left else 10, 8),
        textcoords="offset points",
        ha="right" if left else "left",
        fontsize=11,
        parse_math=False,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},  # over the front's line
    )


def _time_axis(axes: Axes, seconds: Mapping[str, float]) -> None:
    heading = "training time in seconds"
    fastest = min(seconds.values())
    if fastest > 0 and max(seconds.values()) / fastest >= 8:
        heading += " (logarithmic)"
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:,g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(heading, fontsize=12)


def _part(
    axes: Axes,
    labels: Sequence[Annotation],
    points: Sequence[tuple[float, float]],
) -> None:
    """Move labels up or down until none lies on a point or on another label."""
    boxes = [Bbox.from_extents(*(xy - 6), *(xy + 6)) for xy in axes.transData.transform(points)]
    for label in labels:
        for height in HEIGHTS:
            label.xyann = label.xyann[0], height
            if not any(map(label.get_window_extent().overlaps, boxes)):
                break
        boxes.append(label.get_window_extent())
