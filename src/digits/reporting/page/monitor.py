"""The page of `digits monitor`: one HTML file that carries everything and loads nothing."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from matplotlib.figure import Figure

from digits.evaluation.drift import Drift
from digits.reporting.page.render import environment
from digits.reporting.page.tables import Cell, Png, Table
from digits.reporting.plots import drift as plots
from digits.scoring.monitor import Monitored, MonitorResult

FOREIGN = 24  # images that are shown
WORDS = {
    "mean_ink": "mean grey value",
    "contrast": "contrast",
    "class_shares": "predicted classes",
    "features": "the model's features",
    "accuracy": "accuracy",
}


def render_monitor(monitored: Monitored, *, names: Sequence[str]) -> str:
    """The page as HTML; `names` has one name per class."""
    result = monitored.result
    distances, foreign = _pictures(monitored)
    return (
        environment("page")
        .get_template("monitor.html.j2")
        .render(
            result=result,
            verdicts=verdicts(result),
            when=" to ".join(time[:16].replace("T", " ") for time in (result.since, result.until)),
            comparisons=_comparisons(result.drift),
            answers=_answers(result),
            classes=_classes(result, names),
            distances=distances,
            foreign=foreign,
        )
    )


def verdicts(result: MonitorResult) -> list[str]:
    """What was found, a sentence each."""
    if not result.drift:
        found = ["Drift is not known: artifacts/split is not what this version was made with."]
    elif result.drifted:
        found = [f"Drift of {', '.join(WORDS[name] for name in result.drifted)}."]
    else:
        found = ["No drift."]
    if result.far is not None:
        found.append(
            f"{100 * result.far:.1f} % of the images are far from what the model knows; of known "
            "images it would be 5 %."
        )
    if accuracy := result.accuracy:
        found.append(
            f"Accuracy {_percent(accuracy.value)} on {accuracy.rows:,} labelled rows, 95 % "
            f"interval {_percent(accuracy.lower)} to {_percent(accuracy.upper)}."
        )
    return found


def _comparisons(drift: Sequence[Drift]) -> Table:
    rows = [
        (
            WORDS[each.name],
            [
                Cell(f"{each.effect:.4f}"),
                Cell("<0.0001" if each.p_value < 1e-4 else f"{each.p_value:.4f}"),
                Cell("drifted" if each.drifted else "ok", marked=each.drifted),
            ],
        )
        for each in drift
    ]
    return Table(["drift of", "effect", "p", ""], rows)


def _answers(result: MonitorResult) -> Table:
    accuracy, holdout = result.accuracy, result.holdout
    interval = f" ({_percent(accuracy.lower)} to {_percent(accuracy.upper)})" if accuracy else ""
    live = {
        "accuracy": _percent(accuracy.value) + interval if accuracy else "n/a",
        "labelled rows": f"{accuracy.rows:,}" if accuracy else "0",
        "unsure": _percent(result.unsure),
    }
    before = {
        "accuracy": _percent(holdout.get("accuracy")),
        "labelled rows": f"{holdout['rows']:,.0f}" if "rows" in holdout else "n/a",
        "unsure": _percent(holdout.get("unsure")),
    }
    return Table(
        ["", "now", "hold-out"],
        [(name, [Cell(live[name]), Cell(before[name])]) for name in live],
    )


def _classes(result: MonitorResult, names: Sequence[str]) -> Table:
    counts = [Cell(f"{count:,}") for count in result.class_counts]
    shares = [Cell(_percent(count / result.rows)) for count in result.class_counts]
    return Table(["class", *names], [("answers", counts), ("share", shares)])


def _pictures(monitored: Monitored) -> tuple[Png | None, Png | None]:
    if monitored.features is None:
        return None, None
    known, new = monitored.features
    farthest = np.argsort(-new, kind="stable")[:FOREIGN]
    title = "How far new and known images are from the nearest known one"
    histogram = plots.distances(known.known, new, cut=float(known.cuts[-1]), title=title)
    title = f"The {len(farthest)} most foreign of {len(new):,} images"
    return _png(histogram), _png(plots.foreign(monitored.sample[farthest], title=title))


def _png(figure: Figure) -> Png:
    content = BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


def _percent(share: float | None) -> str:
    return "n/a" if share is None else f"{100 * share:.2f} %"
