"""Models side by side: accuracy against time."""

import warnings
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter
from matplotlib.transforms import Bbox

from imageproof.report.plots import theme

HEIGHTS = (
    8,
    -34,
    44,
    -70,
    80,
    -106,
    116,
    -142,
)  # points from a model to its label, the nearest first


class Shares(ScalarFormatter):
    """Ticks with equally many decimals, and none above 1."""

    def __call__(self, x: float, pos: int | None = None) -> str:
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
    on_front = sorted(front, key=seconds.__getitem__)
    heights = [accuracy[model][0] for model in on_front]
    axes.step([seconds[model] for model in on_front], heights, "o-", color=theme.BLUE, where="post")
    fastest, slowest = min(seconds.values()), max(seconds.values())
    labels = []
    for model, time in seconds.items():
        share, low, high = accuracy[model]
        away, colour = [[share - low], [high - share]], theme.BLUE if model in front else theme.GREY
        axes.errorbar(time, share, yerr=away, fmt="o", color=colour, markersize=9, capsize=4)
        duration = f"{time:.0f} s" if time >= 10 else f"{time:.2g} s"
        right = time > (fastest * slowest) ** 0.5
        label = axes.annotate(
            f"{model}\n{share:.4f}, {duration}",
            (time, share),
            xytext=(-10 if right else 10, 8),
            textcoords="offset points",
            ha="right" if right else "left",
            fontsize=11,
            parse_math=False,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},  # over the front's line
        )
        labels.append(label)
    heading = "training time in seconds"
    if fastest > 0 and slowest / fastest >= 8:
        heading += " (logarithmic)"
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:,g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(heading, fontsize=12)
    axes.yaxis.set_major_formatter(Shares(useOffset=False))
    axes.set_ylabel("accuracy, with 95 % interval", fontsize=12)
    axes.margins(x=0.18, y=0.15)
    axes.set_xlim(left=max(axes.get_xlim()[0], 0))
    theme.quiet_axes(axes)
    legend = "Pareto front" if front else "no Pareto front: training times cannot be compared"
    figure.legend([legend], loc="outside lower right", frameon=False, fontsize=11)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # as in `theme.save`
        figure.draw_without_rendering()  # the layout places the axes
        _part(axes, labels, [(time, accuracy[model][0]) for model, time in seconds.items()])
    return figure


def _part(axes: Axes, labels: Sequence[Annotation], points: Sequence[tuple[float, float]]) -> None:
    """Move labels up or down until none lies on a point or on another label."""
    taken = [Bbox.from_extents(*(xy - 6), *(xy + 6)) for xy in axes.transData.transform(points)]
    for label in labels:
        for height in HEIGHTS:
            label.xyann = label.xyann[0], height
            if not any(map(label.get_window_extent().overlaps, taken)):
                break
        taken.append(label.get_window_extent())
