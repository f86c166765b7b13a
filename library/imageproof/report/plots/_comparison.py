"""Models side by side: accuracy against time."""

from collections.abc import Mapping
from textwrap import fill

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from imageproof.judge._comparison import pareto_front
from imageproof.pages._colours import colour_of
from imageproof.report.plots import _theme


def pareto(
    times: Mapping[str, float],
    statistics: Mapping[str, Mapping[str, float]],
    *,
    comparable: bool,
    title: str,
) -> Figure:
    """Accuracy against training time in seconds, one point per model, the Pareto front joined.

    `statistics` has `accuracy`, `accuracy_lower` and `accuracy_upper` of each model, 0…1. There is
    no front if times are not `comparable`, which the picture then says.
    """
    figure, axes = _theme.new_axes(6.6, 4.4 + 0.12 * len(times), title)
    shares = {model: statistics[model]["accuracy"] for model in times}
    front = pareto_front({model: (times[model], shares[model]) for model in times})
    if comparable:
        axes.step(
            [times[model] for model in front],
            [shares[model] for model in front],
            color=_theme.GREY,
            where="post",
        )
    for model, seconds in times.items():
        share = shares[model]
        below = share - statistics[model]["accuracy_lower"]
        above = statistics[model]["accuracy_upper"] - share
        duration = f"{seconds:,.0f} s" if seconds >= 100 else f"{seconds:.3g} s"
        axes.errorbar(
            seconds,
            share,
            yerr=[[below], [above]],
            fmt="o",
            color=colour_of(model, [*times]),
            markersize=9,
            capsize=4,
            label=f"{model}: {share:.4f}, {duration}",
        )
    axes.yaxis.set_major_formatter(lambda share, _: f"{share:.4f}" if share < 1.00001 else "")
    axes.set_ylabel("accuracy, with 95 % interval")
    axes.set(xscale="log", xlabel="training time in seconds (logarithmic)")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.xaxis.set_minor_formatter("")
    axes.margins(x=0.18, y=0.15)
    _theme.quiet_axes(axes)
    note = "no Pareto front: training times cannot be compared"
    if comparable:
        note = fill(f"Pareto front: {', '.join(front)}", 80)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, title=note)
    return figure
