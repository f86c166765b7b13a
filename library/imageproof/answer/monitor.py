"""Watch a model at work: drift, unsure answers, its accuracy: expected, and of labelled rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from mlflow import MlflowClient
from scipy.stats import binomtest

from imageproof.answer import drift
from imageproof.answer.inputs import open_input
from imageproof.answer.logged import Log, Logged, read_labels, read_log
from imageproof.answer.predict import set_threshold
from imageproof.base.dataset import Dataset, Images
from imageproof.base.errors import DataError
from imageproof.base.text import printable
from imageproof.judge.confidence import answer_sets
from imageproof.judge.drift import Distances, KnownFeatures, compare_accuracy
from imageproof.pages.templates import templates
from imageproof.project import Project
from imageproof.registry.served import Served

WORDS = {
    "mean_ink": "mean grey value",
    "contrast": "contrast",
    "class_shares": "predicted classes",
    "features": "the model's features",
    "accuracy": "accuracy",
}
KNOWN = 3000  # rows of a split whose features are known
NOT_EXPECTED = "where images drift, confidence does not tell it; label a sample"


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorResult(drift.Found):
    source: str
    since: str  # of a log, as `until`
    until: str
    other_rows: int  # of a log, answered by other versions
    expected: float | None  # accuracy without labels, 0…1: `monitor` says when it has one
    far: float | None  # share farther from all known images than 95 % of those from each other
    # labelled `rows`, `value`; exact 95 % `lower` to `upper`; `unmatched` labels of no row
    accuracy: dict[str, float] | None
    holdout: dict[str, float]  # the hold-out's figures of the same names


class Monitored(NamedTuple):
    result: MonitorResult
    sample: Images
    features: tuple[KnownFeatures, Distances] | None


def monitor(
    source: Path, log: Log | None, labels: Path | None, model: Served, *, project: Project
) -> Monitored:
    """Compare what a model saw with what it was trained on, and its answers with the truth.

    `log` is that of `source` if a service logged it, with its answers; for `labels` see
    `read_labels`. What cannot be read, or has no row that the model answered, is a DataError.

    The accuracy to expect is the mean probability of the answers: a calibrated model is right on
    that share of its rows (Guo et al. 2017, «On Calibration of Modern Neural Networks», equation
    1). It is calibrated on the validation rows, so there is none where images drift from them.
    """
    key = "at" if log else "file" if source.is_dir() else "row"
    known = read_labels(labels, key=key, classes=model.files.classes) if labels else None
    sample, others = drift.Sample(model.files.shape), 0
    tables: list[pd.DataFrame] = []  # of each answer the statistics of its image, by key
    batches = read_log(log, model) if log else _asked(source, model, project.confidence.coverage)
    for batch in batches:
        sample.add(batch.images)
        tables.append(batch.answers.assign(**drift.image_stats(batch.images)))
        others += batch.others
    answers = pd.concat(tables)
    if not len(answers):
        raise DataError(f"{source}: no row answered by {model.origin.uri}; --model names another")
    figures, comparisons = MlflowClient().get_run(model.origin.run_id).data.metrics, []
    names = [each for each in ("accuracy", "rows", "unsure") if f"holdout_{each}" in figures]
    holdout = {name: figures[f"holdout_{name}"] for name in names}
    far = accuracy = features = None
    unfitted = [drift.split_of(model, name) for name in ("validation", "holdout")]
    if len(own := [split for split in unfitted if split]) == len(unfitted):
        features = _beside_known(sample.images, own, model)
    if features:
        usual, distances = features
        comparisons.append(usual.compare(distances, project.drift.min_feature_effect))
        far = float(np.mean(distances > usual.cuts[-1]))
    if known is not None:
        truth = known.reindex(answers.index)
        right = (truth == answers["predicted"])[truth.notna()]
        if not len(right):
            raise DataError(f"{labels} column {key}: names no row of {source} that was answered")
        correct, rows = int(right.sum()), len(right)
        interval = binomtest(correct, rows).proportion_ci()  # of Clopper and Pearson
        accuracy = {"rows": rows, "value": correct / rows, "unmatched": len(known) - rows}
        accuracy |= {"lower": float(interval.low), "upper": float(interval.high)}
        if {"accuracy", "rows"} <= holdout.keys():
            before = round(holdout["accuracy"] * holdout["rows"]), round(holdout["rows"])
            comparisons.append(compare_accuracy(correct, rows, before))
    summary = drift.summarise(answers, model, project, comparisons)
    expected = None
    if summary["drift"] and not summary["drifted"]:
        expected = float(model.predict(sample.images).max(axis=1).mean())
    result = MonitorResult(
        source=printable(str(source)),
        since=log.since.isoformat() if log else "",
        until=log.newest.isoformat() if log else "",
        other_rows=others,
        expected=expected,
        far=far,
        accuracy=accuracy,
        holdout=holdout,
        **summary,
    )
    return Monitored(result, sample.images, features)


def render(monitored: Monitored) -> str:
    """One HTML page that carries everything and loads nothing."""
    result, foreign = monitored.result, []
    if monitored.features:
        farthest = np.argsort(-monitored.features[1], kind="stable")[:24]
        foreign = [*monitored.sample[farthest]]
    template = templates("imageproof.answer").get_template("monitor.html.j2")
    return template.render(result=result, verdicts=verdicts(result), foreign=foreign, words=WORDS)


def verdicts(result: MonitorResult) -> list[str]:
    if not result.drift:
        found = ["Drift is not known: artifacts/split is not what this version was made with."]
    elif result.drifted:
        found = [f"Drift of {', '.join(WORDS[name] for name in result.drifted)}."]
    else:
        found = ["No drift."]
    if result.far is not None:
        far = f"{100 * result.far:.1f} % of the images are far from what the model knows"
        found.append(f"{far}; of known images it would be 5 %.")
    if result.expected is not None:
        accuracy = f"an accuracy of {100 * result.expected:.1f} %"
        found.append(f"Without labels, by the model's mean confidence, expect {accuracy}.")
    elif result.drifted:
        found.append(f"No accuracy is expected without labels: {NOT_EXPECTED}.")
    if got := result.accuracy:
        interval = f"95 % interval {100 * got['lower']:.2f} to {100 * got['upper']:.2f} %"
        right = f"Accuracy {100 * got['value']:.2f} % on {got['rows']:,} labelled rows"
        missed = got["unmatched"]
        others = f"{missed:,} label{'s name' if missed > 1 else ' names'} no answered row"
        found.append(f"{right}, {interval}{f'; {others}' if missed else ''}.")
    return found


def log_run(result: MonitorResult, page: Path, project: Project) -> None:
    settings = {"source": result.source, "since": result.since, "until": result.until}
    metrics = {f"holdout_{name}": value for name, value in result.holdout.items()}
    metrics |= {"far": result.far} if result.far is not None else {}
    metrics |= {"expected_accuracy": result.expected} if result.expected is not None else {}
    if found := result.accuracy:
        metrics |= {"labelled": found["rows"], "accuracy": found["value"]}
        metrics |= {f"accuracy_{end}": found[end] for end in ("lower", "upper")}
    drift.record(result, "monitor", project, settings=settings, metrics=metrics, files=[page])


def _asked(source: Path, model: Served, coverage: float) -> Iterator[Logged]:
    limit = set_threshold(model, coverage)
    for batch in open_input(source, shape=model.files.shape, fit=model.fit):
        probabilities = model.predict(batch.images)
        sizes = answer_sets(probabilities, limit).sum(axis=1)
        columns = {"predicted": probabilities.argmax(axis=1), "set_size": sizes}
        yield Logged(batch.images, pd.DataFrame(columns, index=[*batch.names]), 0)


def _beside_known(
    sample: Images, known: list[Dataset], model: Served
) -> tuple[KnownFeatures, Distances] | None:
    """The known features, and how foreign each image is; None of a model without features."""
    if not (features := model.files.load_features(threads=model.threads)):
        return None
    random = np.random.default_rng(0)
    rows = [random.permutation(len(split))[:KNOWN] for split in known]
    parts = [features(split.images[drawn]) for split, drawn in zip(known, rows, strict=True)]
    usual = KnownFeatures(np.concatenate(parts))
    return usual, usual.distances(features(sample))
