"""Watch a model at work: drift, unsure answers, and its accuracy where labels have arrived."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mlflow import MlflowClient
from numpy.typing import NDArray

from digits.core.dataset import Images, Labels
from digits.core.errors import DataError, printable
from digits.data.validation.validate import ValidateParams
from digits.evaluation.confidence import answer_sets, no_answer
from digits.evaluation.drift import Drift, compare_accuracy, judge
from digits.params import Params, ProjectParams
from digits.registry.served import Served
from digits.scoring.drift import FeatureDrift, Sample, Seen, compare, feature_drift, tell_drift
from digits.scoring.inputs import open_input
from digits.scoring.labels import TrueLabels, read_labels
from digits.scoring.logged import Log, read_log
from digits.scoring.predict import few_rows, set_threshold
from digits.tracking import runs


class Accuracy(NamedTuple):
    """Share of right answers among the labelled rows, with its exact 95 % interval."""

    rows: int
    correct: int
    value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class MonitorResult:
    """What a model saw and answered.

    `since` and `until` are the times of a log's rows, empty for other sources; `other_rows` of it
    were answered by other versions and are left out. `far` is the share of images farther from
    all known ones than 95 % of the known are from each other, None if the features were not
    compared. `unsure` is the share of answers that are none, None without calibration.
    `holdout` has the hold-out's figures of the same names, as far as the model's run has them.
    """

    source: str
    model: str
    since: str
    until: str
    rows: int
    other_rows: int
    class_counts: list[int]
    far: float | None
    unsure: float | None
    accuracy: Accuracy | None
    holdout: dict[str, float]
    warnings: list[str]
    drift: list[Drift]

    @property
    def drifted(self) -> list[str]:
        """The statistics that no longer look like those of the training data."""
        return [drift.name for drift in self.drift if drift.drifted]

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        accuracy = self.accuracy._asdict() if self.accuracy else None
        return {**asdict(self), "accuracy": accuracy, "drifted": self.drifted}


class Monitored(NamedTuple):
    """The result, and what its page draws: a sample of the images, and how foreign each is."""

    result: MonitorResult
    sample: Images
    features: FeatureDrift | None


class _Answered(NamedTuple):
    """A batch: the keys by which labels name the images, images, classes, and who is unsure."""

    keys: list[Any]
    images: Images
    predicted: Labels
    unsure: NDArray[np.bool_] | None


class _Tally:
    """What is counted of the answers."""

    def __init__(self, classes: int, labels: TrueLabels | None, usual: ValidateParams) -> None:
        self.seen, self.sample = Seen(usual), Sample()
        self.class_counts = np.zeros(classes, np.int64)
        self.other_rows = 0
        self.unsure: int | None = 0
        self.labelled, self.correct = 0, 0
        self._labels = labels.by_key if labels else {}

    def add(self, batch: _Answered) -> None:
        self.seen.add(batch.images)
        self.sample.add(batch.images)
        self.class_counts += np.bincount(batch.predicted, minlength=len(self.class_counts))
        if self.unsure is None or batch.unsure is None:
            self.unsure = None
        else:
            self.unsure += int(batch.unsure.sum())
        if self._labels:
            truth = np.array([self._labels.get(key, -1) for key in batch.keys])
            self.labelled += int(np.sum(truth >= 0))
            self.correct += int(np.sum(truth == batch.predicted))


def monitor(
    source: Path, log: Log | None, labels: Path | None, model: Served, *, params: Params
) -> Monitored:
    """Compare what a model saw with what it was trained on, and its answers with the truth.

    Args:
        source: Where the images are; `log` if a service logged them, with its answers.
        labels: A file with the columns `label` and, of a log, `at`; otherwise `row` or `file`.

    Raises:
        DataError: the source or the labels cannot be read, or the model answered no row of it.
    """
    key = "at" if log else "file" if source.is_dir() else "row"
    classes = model.files.classes
    known = read_labels(labels, key=key, classes=classes) if labels else None
    tally = _Tally(classes, known, params.validation)
    for batch in _logged(log, model, tally) if log else _asked(source, model, params):
        tally.add(batch)
    if not tally.seen.rows:
        raise DataError(f"{source}: no row answered by {model.origin.uri}; --model names another")
    if known and not tally.labelled:
        raise DataError(f"{labels} column {key}: names no row of {source} that was answered")
    return _judged(source, log, tally, model, params)


def log_run(result: MonitorResult, page: Path, project: ProjectParams) -> None:
    """Log the result and its page as an MLflow run, and send `<project>.drift` if there is any."""
    settings = {"source": result.source, "since": result.since, "until": result.until}
    tags = {"monitored": result.model, "drifted": ", ".join(result.drifted)}
    experiment = project.part("monitoring")
    what = f"What {result.model} saw and answered, by `digits monitor`."
    with runs.active_run("monitor", experiment=experiment, params=settings, tags=tags, what=what):
        runs.log_metrics(_metrics(result))
        runs.log_files([page])
    tell_drift(project.name, "monitor", result.drifted, result.as_dict())


def _logged(log: Log, model: Served, tally: _Tally) -> Iterator[_Answered]:
    """What a service logged; counts the rows of other versions."""
    origin, files = model.origin, model.files
    title = f"{origin.model} {origin.version}"  # as a service calls it
    rows = read_log(log, model=title, shape=files.shape, classes=files.classes)
    for batch in rows:
        if isinstance(batch, int):
            tally.other_rows += batch
        else:
            unsure = None if batch.set_sizes is None else no_answer(batch.set_sizes, files.classes)
            yield _Answered(batch.at.tolist(), batch.images, batch.predicted, unsure)


def _asked(source: Path, model: Served, params: Params) -> Iterator[_Answered]:
    """The model's answers to the images of a folder, CSV or npz."""
    limit = set_threshold(model, params.confidence.coverage)
    for batch in open_input(source, shape=model.files.shape, picture=model.picture).batches():
        probabilities = model.predict(batch.images)
        sets = None if limit is None else answer_sets(probabilities, limit)
        unsure = None if sets is None else no_answer(sets.sum(axis=1), sets.shape[1])
        yield _Answered(batch.names, batch.images, probabilities.argmax(axis=1), unsure)


def _judged(
    source: Path, log: Log | None, tally: _Tally, model: Served, params: Params
) -> Monitored:
    seen, holdout = tally.seen, _holdout(model)
    sample = tally.sample.images
    features = feature_drift(sample, model)
    comparisons = compare(seen, tally.class_counts, features, model, params.drift)
    if tally.labelled and "accuracy" in holdout and "rows" in holdout:
        rows = round(holdout["rows"])
        correct = round(holdout["accuracy"] * rows)
        comparisons.append(compare_accuracy(tally.correct, tally.labelled, (correct, rows)))
    result = MonitorResult(
        source=printable(str(source)),
        model=model.origin.uri,
        since=log.since.isoformat() if log else "",
        until=log.newest.isoformat() if log else "",
        rows=seen.rows,
        other_rows=tally.other_rows,
        class_counts=tally.class_counts.tolist(),
        far=_far(features),
        unsure=None if tally.unsure is None else tally.unsure / seen.rows,
        accuracy=_accuracy(tally.correct, tally.labelled),
        holdout=holdout,
        warnings=[*seen.warnings, *few_rows(model, params.confidence.coverage)],
        drift=judge(comparisons, params.drift.level),
    )
    return Monitored(result, sample, features)


def _far(features: FeatureDrift | None) -> float | None:
    if features is None:
        return None
    return float(np.mean(features.distances > features.known.cuts[-1]))


def _accuracy(correct: int, rows: int) -> Accuracy | None:
    """With the interval of Clopper and Pearson; None without labels."""
    from scipy.stats import binomtest

    if not rows:
        return None
    interval = binomtest(correct, rows).proportion_ci()
    return Accuracy(rows, correct, correct / rows, float(interval.low), float(interval.high))


def _holdout(model: Served) -> dict[str, float]:
    metrics = MlflowClient().get_run(model.origin.run_id).data.metrics
    names = ("accuracy", "rows", "unsure")
    return {name: metrics[f"holdout_{name}"] for name in names if f"holdout_{name}" in metrics}


def _metrics(result: MonitorResult) -> dict[str, float]:
    metrics: dict[str, float] = {"rows": result.rows}
    metrics |= {f"holdout_{name}": value for name, value in result.holdout.items()}
    for name in ("far", "unsure"):
        if (share := getattr(result, name)) is not None:
            metrics[name] = share
    if result.accuracy:
        labelled, _, *figures = result.accuracy
        metrics["labelled"] = labelled
        metrics |= zip(("accuracy", "accuracy_lower", "accuracy_upper"), figures, strict=True)
    for drift in result.drift:
        metrics[f"drift_{drift.name}_effect"] = drift.effect
        metrics[f"drift_{drift.name}_p_value"] = drift.p_value
    return metrics
