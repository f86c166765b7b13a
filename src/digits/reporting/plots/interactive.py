"""Interactive pictures (plotly) of a confusion matrix: rows prediction, columns reference."""

from html import escape

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from digits.core.dataset import Matrix
from digits.reporting.plots.theme import BLUE, INK, PALE_GREY, RED, VERMILION, percent

LARGEST_FACTOR = 50
FONT = {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "color": INK}


def confusion_matrix(matrix: Matrix, *, names: list[str], title: str) -> go.Figure:
    """Heat map with count and per cent of the reference class in each cell, more on hovering.

    Correct cells are blue by their per cent; errors are orange by the square root of their
    per cent of the largest error, so that a few errors among thousands of hits are seen.

    Args:
        matrix: counts int64 (classes, classes), rows are predictions, columns the reference.
        names: one name per class.
        title: what stands above it.
    """
    classes = len(names)
    labels = [escape(name) for name in names]
    figure = go.Figure(
        go.Heatmap(
            z=_strength(matrix),
            zmin=-1,
            zmax=1,
            colorscale=[[0, VERMILION], [0.499, "#FDF3EC"], [0.5, "#FFFFFF"], [1, BLUE]],
            showscale=False,
            xgap=1,
            ygap=1,
            text=_cell_texts(matrix),
            texttemplate="%{text}",
            textfont={"size": 11 if classes <= 15 else 9},
            hovertext=_hover_texts(matrix, labels),
            hoverinfo="text",
        )
    )
    side = {"tickmode": "array", "tickvals": list(range(classes)), "ticktext": labels}
    straight = {"showgrid": False, "zeroline": False, "automargin": True, "fixedrange": True}
    figure.update_xaxes(title="Reference", **side, **straight)
    figure.update_yaxes(title="Prediction", autorange="reversed", **side, **straight)
    cell = 48 if classes <= 15 else 44
    size = max(cell * classes, 280) + 130
    figure.update_layout(margin={"l": 70, "r": 30, "t": 60, "b": 70})
    return _laid_out(figure, title, width=size, height=size)


def alluvial(matrix: Matrix, *, names: list[str], title: str) -> go.Figure:
    """Parallel categories from reference to prediction: correct rows grey, errors red.

    Where errors are rare, the correct rows are drawn narrower by a whole factor, which is
    named below the title, so that the errors fill about a third of the picture. The counts at
    both sides are the true ones.

    Args:
        matrix: counts int64 (classes, classes), rows are predictions, columns the reference.
        names: one name per class.
        title: what stands above it.
    """
    prediction, reference = np.nonzero(matrix)
    wrong = prediction != reference
    factor = narrowing(matrix)
    counts = matrix[prediction, reference] / np.where(wrong, 1, factor)
    labels = [escape(name) for name in names]
    figure = go.Figure(
        go.Parcats(
            dimensions=[
                _dimension("Reference", reference, labels, _wrong_of(matrix.sum(axis=0), matrix)),
                _dimension("Prediction", prediction, labels, _wrong_of(matrix.sum(axis=1), matrix)),
            ],
            counts=counts,
            line={
                "color": wrong.astype(int),
                "cmin": 0,
                "cmax": 1,
                "colorscale": [[0, PALE_GREY], [1, RED]],
                "shape": "hspline",
            },
            bundlecolors=False,
            arrangement="fixed",
            hoverinfo="none",  # it would name the narrowed counts
            labelfont={"size": 14},
            tickfont={"size": 13},
        )
    )
    longest = max(map(len, names))
    figure.update_layout(margin={"l": 150 + 7 * longest, "r": 130 + 7 * longest, "t": 90, "b": 20})
    heading = f"{title}<br><sup>{_legend(factor)}</sup>"
    return _laid_out(figure, heading, width=590 + 14 * longest, height=30 * len(names) + 310)


def narrowing(matrix: Matrix) -> int:
    """By how much correct rows are drawn narrower: they get twice the width of all errors.

    1 where they have less anyway or nothing is wrong; 50 at most.
    """
    right = int(np.trace(matrix))
    wrong = int(matrix.sum()) - right
    return min(max(round(right / (2 * wrong)), 1), LARGEST_FACTOR) if wrong else 1


def _strength(matrix: Matrix) -> NDArray[np.float64]:
    """Share of the reference class on the diagonal, minus the strength of the error elsewhere."""
    share = matrix / np.maximum(matrix.sum(axis=0), 1)
    right = np.eye(len(matrix), dtype=bool)
    errors = np.where(right, 0, share)
    return np.asarray(np.where(right, share, -np.sqrt(errors / max(errors.max(), 1e-12))))


def _cell_texts(matrix: Matrix) -> list[list[str]]:
    totals = matrix.sum(axis=0).tolist()
    return [
        [f"{n:,}<br>{percent(n, total)}" for n, total in zip(row, totals, strict=True)]
        for row in matrix.tolist()
    ]


def _hover_texts(matrix: Matrix, labels: list[str]) -> list[list[str]]:
    present, predicted = matrix.sum(axis=0).tolist(), matrix.sum(axis=1).tolist()
    return [
        [
            f"reference <b>{reference}</b>, predicted <b>{prediction}</b>: {count:,}<br>"
            f"{percent(count, is_it)} of {is_it:,} that are {reference}<br>"
            f"{percent(count, called)} of {called:,} called {prediction}"
            for reference, count, is_it in zip(labels, counts, present, strict=True)
        ]
        for prediction, counts, called in zip(labels, matrix.tolist(), predicted, strict=True)
    ]


def _dimension(
    label: str, values: NDArray[np.int64], labels: list[str], notes: list[str]
) -> dict[str, object]:
    shown = sorted(set(values.tolist()))
    return {
        "label": label,
        "values": values,
        "categoryorder": "array",
        "categoryarray": shown,
        "ticktext": [f"{labels[number]}: {notes[number]}" for number in shown],
    }


def _wrong_of(totals: NDArray[np.int64], matrix: Matrix) -> list[str]:
    right = matrix.diagonal()
    return [f"{n - r:,} of {n:,} wrong" for n, r in zip(totals, right, strict=True)]


def _legend(factor: int) -> str:
    narrowed = f", drawn {factor} times narrower than errors" if factor > 1 else ""
    return f"grey: correct{narrowed} · red: errors"


def _laid_out(figure: go.Figure, title: str, *, width: int, height: int) -> go.Figure:
    return figure.update_layout(
        title={"text": title, "x": 0.5, "font": {"size": 16}},
        width=width,
        height=height,
        font=FONT,
        template="none",
        paper_bgcolor="white",
    )
