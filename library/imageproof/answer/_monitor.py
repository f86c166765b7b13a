"""Watch a model at work: drift, unsure answers, and accuracy, expected or on labelled rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import mlflow
import pandas as pd

from imageproof.answer import _drift, _labelled
from imageproof.answer._inputs import open_input
from imageproof.answer._logged import SHADOW, Log, Logged, read_labels, read_log
from imageproof.answer._predict import set_threshold
from imageproof.answer._shadow import ShadowResult, compare_shadow, shadow_figures, shadow_verdicts
from imageproof.base._dataset import Images
from imageproof.base._naming import project_name
from imageproof.base.errors import DataError
from imageproof.base.text import printable
from imageproof.judge.confidence import answer_sets
from imageproof.judge.drift import Drift
from imageproof.mlflow import _runs
from imageproof.pages._templates import templates
from imageproof.project import Project
from imageproof.registry._shadow import RUN
from imageproof.registry._version import Version
from imageproof.registry._versions import find

TITLES = {
    "mean_ink": "mean grey value",
    "contrast": "contrast",
    "class_shares": "predicted classes",
    "features": "the model's features",
    "accuracy": "accuracy",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorResult:
    source: str
    model: str
    rows: int
    class_names: list[str]  # numbers without names
    class_counts: list[int]
    unsure: float  # share of rows whose answer set cannot be used
    warnings: list[str]
    drift: list[Drift]
    drifted: list[str]  # names of what drifted
    since: str  # of a log, as `until`
    until: str
    other_rows: int  # of a log, answered by other versions
    expected: float | None  # accuracy without labels, 0…1: `monitor` says when it has one
    far: float | None  # share farther from all known images than 95 % of those from each other
    # labelled `rows`, `value`; exact 95 % `lower` to `upper`; `unmatched` labels of no row
    accuracy: dict[str, float] | None
    holdout: dict[str, float]  # the hold-out's figures of the same names
    shadow: ShadowResult | None  # of a log whose service also asked a challenger


class Monitored(NamedTuple):
    result: MonitorResult
    farthest: list[Images]  # of a sample, the images that are farthest from all known ones
    different: list[Images]  # some that the challenger answered otherwise


def monitor(
    source: Path,
    log: Log | None,
    labels: Path | None,
    model: Version,
    *,
    project: Project,
) -> Monitored:
    """Compare what a model saw with what it was trained on, and its answers with the truth.

    `log` is that of `source` if a service logged it, with its answers; for `labels` see
    `read_labels`. What cannot be read, or has no row that the model answered, is a DataError.

    The accuracy to expect is the mean probability of the answers: a calibrated model is right on
    that share of its rows (Guo et al. 2017, «On Calibration of Modern Neural Networks», equation
    1). It is calibrated on the validation rows, so there is none where images drift from them.
    """
    key = "at" if log else "file" if source.is_dir() else "row"
    table = read_labels(labels, key=key, names=model.files.class_names) if labels else None
    sample, answers, other_keys = _collect(
        read_log(log, model) if log else _answer(source, model, project.confidence.coverage), model
    )
    if not len(answers):
        raise DataError(f"{source}: no row answered by {model.origin.uri}; --model names another")
    if log:
        rows = answers[answers["server"] != 0]  # older logs do not name servers
        # a server whose clock was put back has other images at the same times
        if rows.reset_index().duplicated().any():
            raise DataError(f"{source}: has rows twice; take copies of its files away")
    distinct = _labelled.distinct_rows(answers, other_keys)
    accuracy = None if table is None else _labelled.accuracy(distinct, table["label"])
    if accuracy == {}:
        raise DataError(f"{labels} column {key}: names no row of {source} that was answered")
    splits = _drift.splits_of(model)
    features = _drift.compare_with_known(sample, model, splits, project.drift.min_feature_effect)
    holdout = _labelled.holdout_figures(model)
    shadow, different = compare_shadow(source, log, distinct, table, model) if log else (None, [])
    summary = _drift.summarise(
        answers,
        sample,
        model,
        project,
        splits,
        features.comparisons + _labelled.compare_with_holdout(accuracy, holdout),
    )
    if log and not shadow and answers[SHADOW].any():
        summary["warnings"].append(
            f"a challenger was asked for {answers[SHADOW].sum():,} rows, too; "
            f"{source / SHADOW} has no answer to them"
        )
    result = MonitorResult(
        source=printable(str(source)),
        since=log.since.isoformat() if log else "",
        until=log.newest.isoformat() if log else "",
        other_rows=len(other_keys),
        far=features.far,
        accuracy=accuracy,
        holdout=holdout,
        shadow=shadow,
        **summary,
    )
    return Monitored(result, features.farthest, different)


def _answer(source: Path, model: Version, coverage: float) -> Iterator[Logged]:
    limit = set_threshold(model, coverage)
    for batch in open_input(source, shape=model.files.shape, fit=model.fit):
        probabilities = model.predict(batch.images)
        sizes = answer_sets(probabilities, limit).sum(axis=1)
        columns = {"predicted": probabilities.argmax(axis=1), "set_size": sizes}
        yield Logged(batch.images, pd.DataFrame(columns, index=[*batch.names]), pd.Series([]))


def _collect(
    batches: Iterator[Logged], model: Version
) -> tuple[Images, pd.DataFrame, "pd.Series[int]"]:
    """A sample of the images, all answers with the statistics of their images, and other keys."""
    sample = _drift.Sample(model.files.shape)
    tables = []
    other_keys = []
    for batch in batches:
        sample.add(batch.images)
        tables.append(batch.answers.assign(**_drift.image_stats(batch.images)))
        other_keys.append(batch.other_keys)
    return sample.images, pd.concat(tables), pd.concat(other_keys)


def render(monitored: Monitored) -> str:
    """One HTML page that carries everything and loads nothing."""
    template = templates("imageproof.answer").get_template("monitor.html.j2")
    return template.render(
        result=monitored.result,
        verdicts=verdicts(monitored.result),
        foreign=monitored.farthest,
        different=monitored.different,
        words=TITLES,
    )


def verdicts(result: MonitorResult) -> list[str]:
    is_compared = _drift.are_images_compared(result.drift)
    lines = ["No drift."] if is_compared else []
    if result.drifted:
        lines = [f"Drift of {', '.join(TITLES[name] for name in result.drifted)}."]
    if not is_compared:
        lines.append(
            "Drift of images is not known: artifacts/split is not what this version was made with."
        )
    if result.until:
        until = result.until[:16].replace("T", " ")
        lines.append(f"The newest row of the log is of {until} UTC.")
    if result.far is not None:
        far = f"{100 * result.far:.1f} % of the images are far from what the model knows"
        lines.append(f"{far}; of known images it would be 5 %.")
    if result.expected is not None:
        expected = f"{100 * result.expected:.2f} %"
        lines.append(
            f"Without labels, by the model's mean confidence, expect an accuracy of {expected}."
        )
    elif result.drifted and not result.accuracy:
        lines.append(
            "No accuracy is expected without labels: where images drift, confidence does not tell "
            "it; label a sample."
        )
    if accuracy := result.accuracy:
        value, lower, upper = (100 * accuracy[name] for name in ("value", "lower", "upper"))
        line = f"Accuracy {value:.2f} % on {accuracy['rows']:,} labelled rows"
        line += f", 95 % interval {lower:.2f} to {upper:.2f} %"
        if unmatched := accuracy["unmatched"]:
            line += f"; labels of other rows: {unmatched:,}"
        lines.append(f"{line}.")
    return lines + (shadow_verdicts(result.shadow) if result.shadow else [])


def log_run(result: MonitorResult, page: Path, project: Project) -> None:
    """Log a result as an MLflow run."""
    drifted = _drift.drifted_names(result.drift)
    settings = {"source": result.source, "since": result.since, "until": result.until}
    if result.shadow:
        settings[RUN] = find(result.shadow.model).run_id or ""
    with _runs.active_run(
        "monitor",
        description=f"Answers of {result.model}, by `{project_name()} monitor`.",
        experiment=project.part("monitoring"),
        params=settings,
        tags={"answered_by": result.model, "drifted": drifted},
    ):
        mlflow.log_metrics(_figures(result))
        mlflow.log_artifact(str(page))


def _figures(result: MonitorResult) -> dict[str, float]:
    """The metrics of a run."""
    accuracy = result.accuracy or {}
    figures = {
        "rows": result.rows,
        "unsure": result.unsure,
        "far": result.far,
        "expected_accuracy": result.expected,
        "labelled": accuracy.get("rows"),
        "accuracy": accuracy.get("value"),
        "accuracy_lower": accuracy.get("lower"),
        "accuracy_upper": accuracy.get("upper"),
        **{f"holdout_{name}": value for name, value in result.holdout.items()},
    }
    for drift in result.drift:
        figures[f"drift_{drift.name}_effect"] = drift.effect
        figures[f"drift_{drift.name}_p_value"] = drift.p_value
    if result.shadow:
        figures |= shadow_figures(result.shadow)
    return {name: value for name, value in figures.items() if value is not None}
