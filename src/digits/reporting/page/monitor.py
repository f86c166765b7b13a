"""The page of `digits monitor`: one HTML file that carries everything and loads nothing."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from matplotlib.figure import Figure

from digits.reporting.page.report import Cell, Png, Table, environment
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
    result, pictures = monitored.result, []
    if monitored.features:
        known, new = monitored.features
        farthest = np.argsort(-new, kind="stable")[:FOREIGN]
        title = "How far new and known images are from the nearest known one"
        histogram = plots.distances(known.known, new, cut=float(known.cuts[-1]), title=title)
        title = f"The {len(farthest)} most foreign of {len(new):,} images"
        pictures = [histogram, plots.foreign(monitored.sample[farthest], title=title)]
    counts = dict(zip(names, result.class_counts, strict=True))
    return (
        environment("page")
        .get_template("monitor.html.j2")
        .render(
            result=result,
            verdicts=verdicts(result),
            when=" to ".join(time[:16].replace("T", " ") for time in (result.since, result.until)),
            comparisons=_comparisons(result),
            answers=_answers(result),
            classes={
                name: {"answers": f"{count:,}", "share": _percent(count / result.rows)}
                for name, count in counts.items()
            },
            pictures=[_png(picture) for picture in pictures],
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


def _comparisons(result: MonitorResult) -> Table:
    drift = {WORDS[each.name]: each for each in result.drift}
    p_values = {name: each.p_value for name, each in drift.items()}
    return {
        "effect": {name: f"{each.effect:.4f}" for name, each in drift.items()},
        "p": {name: "<0.0001" if p < 1e-4 else f"{p:.4f}" for name, p in p_values.items()},
        "": {
            name: Cell("drifted" if each.drifted else "ok", marked=each.drifted)
            for name, each in drift.items()
        },
    }


def _answers(result: MonitorResult) -> Table:
    now, holdout = {"accuracy": "n/a", "labelled rows": "0"}, result.holdout
    if found := result.accuracy:
        interval = f"({_percent(found.lower)} to {_percent(found.upper)})"
        now["accuracy"] = f"{_percent(found.value)} {interval}"
        now["labelled rows"] = f"{found.rows:,}"
    return {
        "now": now | {"unsure": _percent(result.unsure)},
        "hold-out": {
            "accuracy": _percent(holdout.get("accuracy")),
            "labelled rows": f"{holdout['rows']:,.0f}" if "rows" in holdout else "n/a",
            "unsure": _percent(holdout.get("unsure")),
        },
    }


def _png(figure: Figure) -> Png:
    content = BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


def _percent(share: float | None) -> str:
    return "n/a" if share is None else f"{100 * share:.2f} %"
