"""Pictures of the raw data: classes, their average images, samples."""

from math import ceil

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from imageproof.base._dataset import Images
from imageproof.data._exploration import ClassImages
from imageproof.report.plots import _theme


def class_distribution(distribution: pd.DataFrame) -> Figure:
    """One bar per class, with its count and per cent where classes are not many.

    All images that `split` divides are counted, so these are more than the training rows.
    `distribution` is as `_exploration.class_distribution` returns it.
    """
    names = [*map(_theme.short, distribution["name"])]
    counts = distribution["count"].tolist()
    classes = len(names)
    total = sum(counts)
    height = min(0.36, 12 / classes)  # inches
    width = 3.9 + 0.085 * max(60, *map(len, names))
    figure, axes = _theme.new_axes(
        width, 1.8 + height * classes, f"{total:,} images by class, before they are split"
    )
    bars = axes.barh(range(classes), counts, color=_theme.BLUE)
    if classes <= _theme.MANY:
        texts = [f"{count:,}  ({_theme.percent(count, total)})" for count in counts]
        axes.bar_label(bars, texts, padding=6)
    _theme.class_ticks(axes.yaxis, names, height)
    axes.invert_yaxis()
    axes.margins(x=0.22, y=0.02)
    axes.set_xlabel("images")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    _theme.quiet_axes(axes)
    return figure


def class_images(images: ClassImages, *, names: list[str], title: str) -> Figure:
    """One panel per class in a common scale: of grey values, with a colour bar; or of colours.

    `images` are float64 (classes, height, width) or (classes, height, width, 3); a panel that is
    NaN stays white.
    """
    title = _theme.title_with_limit(title, len(names))
    images = images[: _theme.MANY]
    columns = min(5, len(names))
    captions = [*map(_theme.in_panel, names[: _theme.MANY])]
    lines = max(caption.count("\n") for caption in captions)
    rows = ceil(len(images) / columns)
    height, width, *channels = images.shape[1:]
    panel_height = 1.75 * height / width + 0.35 + 0.25 * lines
    figure = _theme.new_figure(1.75 * columns + 1.2, panel_height * rows + 0.5, title)
    grid = _theme.blank_grid(figure, rows, columns)
    brightest = float(np.nanmax(images, initial=1))
    for axes, image, caption in zip(grid.flat, images, captions, strict=False):
        pixels = np.nan_to_num(image, nan=brightest) / brightest if channels else image
        axes.imshow(pixels, cmap="cividis", vmin=0, vmax=brightest)
        axes.set_title(caption, parse_math=False)
    if channels:
        figure.supxlabel(f"full brightness is {brightest:.0f} of 255")
    else:
        figure.colorbar(grid[0, 0].images[0], ax=grid, aspect=16 * rows, label="grey value")
    return figure


def samples(classes: list[Images], *, names: list[str], title: str) -> Figure:
    """One row of images per class: each uint8 (k, height, width) or (k, height, width, 3).

    They are as `_exploration.samples` draws them.
    """
    title = _theme.title_with_limit(title, len(names))
    names = [*map(_theme.short, names[: _theme.MANY])]
    columns = max(map(len, classes))
    height, width, *channels = classes[0].shape[1:]
    shape = len(names), height + 1, columns, width + 1, *channels
    page = np.full(shape, 255 if channels else 0, dtype=np.uint8)
    for row, images in zip(page, classes, strict=False):  # one pixel apart, white where none is
        row[:height, : len(images), :width] = images.swapaxes(0, 1)
    side = min(1.0, 9 / columns)
    margin = 0.6 + 0.12 * max(map(len, names))
    size = side * columns + margin, side * height / width * len(names) + 0.8
    figure, axes = _theme.new_axes(*size, title)
    page = page.reshape(-1, columns * (width + 1), *channels)
    axes.imshow(page, cmap="gray_r", vmin=0, vmax=255)
    axes.set(xticks=[], frame_on=False)
    middles = (np.arange(len(names)) + 0.5) * (height + 1) - 0.5
    axes.set_yticks(middles, names, parse_math=False)
    axes.tick_params(length=0)
    return figure
