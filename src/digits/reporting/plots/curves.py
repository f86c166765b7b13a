"""Learning curves of one model, or of several overlaid."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from digits.reporting.plots.style import new_figure, quiet_axes
from digits.reporting.plots.style import title as set_title
from digits.reporting.plots.theme import series_colour

FEW = 40  # epochs: up to here each is marked

History = Sequence[Mapping[str, float]]


def learning_curves(histories: Mapping[str, History], *, title: str) -> Figure:
    """Loss and accuracy after each epoch: training dashed, validation solid, a colour per model.

    Args:
        histories: per model and epoch `loss accuracy val_loss val_accuracy`; epochs count from 0.
        title: what stands above it.
    """
    figure = new_figure(11, 4.6)
    loss, accuracy = figure.subplots(1, 2)
    for index, (model, history) in enumerate(histories.items()):
        _draw(loss, history, "loss", model, series_colour(index))
        _draw(accuracy, history, "accuracy", model, series_colour(index))
    for axes, name in ((loss, "loss"), (accuracy, "accuracy")):
        quiet_axes(axes)
        axes.set_xlabel("epoch", fontsize=12)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        set_title(axes, name)
    handles, labels = loss.get_legend_handles_labels()
    columns = min(len(labels), 4)
    figure.legend(
        handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize=11
    )
    figure.suptitle(title, fontsize=13, parse_math=False)
    return figure


def _draw(axes: Axes, history: History, measure: str, model: str, colour: str) -> None:
    marker = "o" if len(history) <= FEW else None
    common: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 4}
    training = [epoch[measure] for epoch in history]
    validation = [epoch[f"val_{measure}"] for epoch in history]
    axes.plot(training, "--", markerfacecolor="white", label=f"{model}, training", **common)
    axes.plot(validation, "-", linewidth=1.9, label=f"{model}, validation", **common)
