"""Models side by side: accuracy against time."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from imageproof.report.plots import theme


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

    `accuracy` is 0…1, with the ends of its 95 % interval.
    """
    figure, axes = theme.new_axes(6.6, 4.4, title)
    on_front = sorted(front, key=seconds.__getitem__)
    heights = [accuracy[model][0] for model in on_front]
    axes.step([seconds[model] for model in on_front], heights, "o-", color=theme.BLUE, where="post")
    fastest, slowest = min(seconds.values()), max(seconds.values())
    for model, time in seconds.items():
        share, low, high = accuracy[model]
        away, colour = [[share - low], [high - share]], theme.BLUE if model in front else theme.GREY
        axes.errorbar(time, share, yerr=away, fmt="o", color=colour, markersize=9, capsize=4)
        duration = f"{time:.0f} s" if time >= 10 else f"{time:.2g} s"
        right = time > (fastest * slowest) ** 0.5
        axes.annotate(
            f"{model}\n{share:.4f}, {duration}",
            (time, share),
            xytext=(-10 if right else 10, 8),
            textcoords="offset points",
            ha="right" if right else "left",
            fontsize=11,
            parse_math=False,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},  # over the front's line
        )
    label = "training time in seconds"
    if fastest > 0 and slowest / fastest >= 8:
        label += " (logarithmic)"
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:,g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(label, fontsize=12)
    axes.yaxis.set_major_formatter(Shares(useOffset=False))
    axes.set_ylabel("accuracy, with 95 % interval", fontsize=12)
    axes.margins(x=0.18, y=0.15)
    axes.set_xlim(left=max(axes.get_xlim()[0], 0))
    theme.quiet_axes(axes)
    figure.legend(["Pareto front"], loc="outside lower right", frameon=False, fontsize=11)
    return figure
