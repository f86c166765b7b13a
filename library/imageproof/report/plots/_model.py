"""Pictures of a model: reliability, learning curves."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from imageproof.pages._colours import SERIES
from imageproof.report.plots import _theme


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
        lower.set(yscale="log", ylim=(0.5, 300 * table["rows"].max()), yticks=[])
        lower.set(xlabel="confidence: the highest probability", ylabel="rows (log)")
        _theme.quiet_axes(upper)
        _theme.quiet_axes(lower)
    return figure


def learning_curves(
    histories: Mapping[str, Sequence[Mapping[str, float]]], *, title: str, kept: Mapping[str, int]
) -> Figure:
    """Loss and accuracy after each epoch: training dashed, validation solid, a colour per model.

    `histories` has `loss accuracy val_loss val_accuracy` per model and epoch, counted from 1. The
    epochs `kept` of models that have no longer the weights of the last one get a ring.
    """
    figure = _theme.new_figure(11, 4.6, title)
    panels = figure.subplots(1, 2)
    for axes, measure in zip(panels, ("loss", "accuracy"), strict=True):
        for (model, history), colour in zip(histories.items(), cycle(SERIES), strict=False):
            _draw_curves(axes, model, history, measure, colour, kept.get(model))
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


def _draw_curves(
    axes: Axes,
    model: str,
    history: Sequence[Mapping[str, float]],
    measure: str,
    colour: str,
    kept: int | None,
) -> None:
    style: dict[str, Any] = {
        "color": colour,
        "marker": "o" if len(history) <= 40 else None,
        "markersize": 4,
    }
    epochs = range(1, len(history) + 1)
    training = [epoch[measure] for epoch in history]
    validation = [epoch[f"val_{measure}"] for epoch in history]
    axes.plot(epochs, training, "--", markerfacecolor="white", label=f"{model}, training", **style)
    label = f"{model}, validation"
    if kept is not None:
        label += f" (epoch {kept} is kept)"
        ring = style | {"marker": "o", "markersize": 13, "markerfacecolor": "none"}
        axes.plot(kept, validation[kept - 1], **ring)
    axes.plot(epochs, validation, "-", linewidth=1.9, label=label, **style)
