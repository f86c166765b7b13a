"""Pictures of models: accuracy against time, learning curves, reliability."""

from collections.abc import Mapping, Sequence
from textwrap import fill

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator

from imageproof.judge._comparison import pareto_front
from imageproof.pages._colours import colour_of
from imageproof.report.plots import _theme


def pareto(
    times: Mapping[str, float],
    statistics: Mapping[str, Mapping[str, float]],
    *,
    comparable: bool,
) -> Figure:
    """Accuracy against training time in seconds, one point per model, the Pareto front joined.

    `statistics` has `accuracy`, `accuracy_lower` and `accuracy_upper` of each model, 0…1. There is
    no front if times are not `comparable`, which the picture then says.
    """
    height = 4.4 + 0.22 * len(times)
    figure, axes = _theme.new_axes(6.6, height, "Test accuracy against training time")
    shares = {model: statistics[model]["accuracy"] for model in times}
    front = pareto_front({model: (times[model], shares[model]) for model in times})
    note = "no Pareto front: training times cannot be compared"
    if comparable:
        note = fill(f"Pareto front: {', '.join(front)}", 80)
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
    figure.legend(loc="outside lower center", frameon=False, title=note)
    return figure


def reliability(tables: Mapping[str, pd.DataFrame], *, title: str) -> Figure:
    """Accuracy against confidence in bins, with intervals, and the rows of each bin below.

    A point on the diagonal is a model that is right as often as it says. `tables` has one line
    per bin, as `scores.reliability` returns them, by the heading of each panel.
    """
    figure = _theme.new_figure(5.5 * len(tables), 6.6, title)
    panels = figure.subplots(2, len(tables), squeeze=False, sharex=True, height_ratios=[3, 1])
    for (heading, table), (upper, lower) in zip(tables.items(), panels.T, strict=True):
        distances = abs(table["accuracy"] - table[["lower", "upper"]].T).to_numpy()
        upper.plot([0, 1], [0, 1], "--", color=_theme.GREY)
        upper.errorbar(
            table["confidence"],
            table["accuracy"],
            distances,
            fmt="o",
            color=_theme.BLUE,
            clip_on=False,
        )
        upper.set(xlim=(0, 1.02), ylim=(0, 1.02), ylabel="accuracy, with 95 % interval")
        _theme.set_title(upper, heading)
        bars = lower.bar(
            table["above"],
            table["rows"],
            table["up_to"] - table["above"],
            align="edge",
            color=_theme.PALE_GREY,
            ec="white",
        )
        lower.bar_label(bars, fmt="{:,.0f}", rotation=90, padding=3, fontsize=9)
        lower.set(
            yscale="log",
            ylim=(0.5, 300 * table["rows"].max()),
            yticks=[],
            xlabel="confidence: the highest probability",
            ylabel="rows (log)",
        )
        _theme.quiet_axes(upper)
        _theme.quiet_axes(lower)
    return figure


def learning_curves(histories: Mapping[str, Sequence[Mapping[str, float]]]) -> Figure:
    """Loss and accuracy after each epoch: training dashed, validation solid, a colour per model.

    `histories` has `loss accuracy val_loss val_accuracy` per model and epoch, counted from 1.
    """
    figure = _theme.new_figure(11, 4.6, f"Learning curves: {', '.join(histories)}")
    panels = figure.subplots(1, 2)
    for axes, measure in zip(panels, ("loss", "accuracy"), strict=True):
        for model, history in histories.items():
            curves = pd.DataFrame(history, index=range(1, len(history) + 1))
            style = {
                "color": colour_of(model, [*histories]),
                "marker": "o" if len(history) <= 40 else None,
                "markersize": 4,
            }
            label = f"{model}, training"
            axes.plot(curves[measure], "--", markerfacecolor="white", label=label, **style)
            axes.plot(
                curves[f"val_{measure}"], linewidth=1.9, label=f"{model}, validation", **style
            )
        _theme.quiet_axes(axes)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        _theme.set_title(axes, measure)
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=min(2 * len(histories), 4),
        frameon=False,
    )
    return figure
