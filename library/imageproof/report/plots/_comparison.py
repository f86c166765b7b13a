"""Models side by side: accuracy against time."""

import warnings
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.ticker import LogLocator
from matplotlib.transforms import Bbox

from imageproof.judge._comparison import pareto_front
from imageproof.report.plots import _theme

# from a model up to its label, in typographic points, the nearest first
HEIGHTS = (8, -34, 44, -70, 80, -106, 116, -142)


class Point(NamedTuple):
    """A model's training time in seconds, and its accuracy 0…1 with the 95 % interval."""

    seconds: float
    accuracy: float
    lower: float
    upper: float


def pareto(points: Mapping[str, Point], *, comparable: bool, title: str) -> Figure:
    """Accuracy against training time, one point per model, the Pareto front joined.

    There is no front if times are not `comparable`, which the picture then says.
    """
    figure, axes = _theme.new_axes(6.6, 4.4, title)
    places = {model: point[:2] for model, point in points.items()}
    front = pareto_front(places) if comparable else []
    axes.step(
        [points[model].seconds for model in front],
        [points[model].accuracy for model in front],
        "o-",
        color=_theme.BLUE,
        where="post",
    )
    times = [point.seconds for point in points.values()]
    middle = (min(times) * max(times)) ** 0.5
    labels = []
    for model, (time, share, lower, upper) in points.items():
        axes.errorbar(
            time,
            share,
            yerr=[[share - lower], [upper - share]],
            fmt="o",
            color=_theme.BLUE if model in front else _theme.GREY,
            markersize=9,
            capsize=4,
        )
        labels.append(_label(axes, model, time, share, left=time > middle))
    axes.yaxis.set_major_formatter(lambda share, _: f"{share:.4f}" if share < 1.00001 else "")
    axes.set_ylabel("accuracy, with 95 % interval")
    axes.set(xscale="log", xlabel="training time in seconds (logarithmic)")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.xaxis.set_minor_formatter("")
    axes.margins(x=0.18, y=0.15)
    _theme.quiet_axes(axes)
    legend = "Pareto front" if front else "no Pareto front: training times cannot be compared"
    figure.legend([legend], loc="outside lower right", frameon=False)
    # as in `_theme.save`
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        figure.draw_without_rendering()  # the layout places the axes
        _part(axes, labels, [*places.values()])
    return figure


def _label(
    axes: Axes,
    model: str,
    time: float,
    share: float,
    *,
    left: bool,
) -> Annotation:
    duration = f"{time:.0f} s" if time >= 10 else f"{time:.2g} s"
    return axes.annotate(
        f"{model}\n{share:.4f}, {duration}",
        (time, share),
        xytext=(-10 if left else 10, 8),
        textcoords="offset points",
        ha="right" if left else "left",
        parse_math=False,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},  # over the front's line
    )


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
