"""Score a batch of images with a registered model: predict, look for what is odd, track."""

import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from digits.core.dataset import Predict
from digits.core.errors import printable
from digits.core.files import replacing
from digits.data.validation.validate import unusual_images
from digits.evaluation.confidence import Sets, answer_sets, unsure
from digits.evaluation.drift import Drift, judge
from digits.params import Params
from digits.registry.served import Served
from digits.scoring.drift import Seen, compare, tell_drift
from digits.scoring.inputs import Batch, Input, open_input
from digits.scoring.predict import set_threshold
from digits.tracking import runs


@dataclass(frozen=True, slots=True)
class ScoreResult:
    """The result of scoring: row count and rate, class counts, and drift from the training data.

    `pictures` counts the pictures of a folder by treatment; see `pictures.TREATMENTS`. `unsure` is
    the share of rows whose answer set is no answer, at the `coverage` that was asked for; both are
    None for versions without calibration.
    """

    input: str
    output: str
    model: str
    data_md5: str
    rows: int
    rows_per_s: float
    pictures: dict[str, int]
    class_counts: list[int]
    coverage: float | None
    unsure: float | None
    warnings: list[str]
    drift: list[Drift]

    @property
    def drifted(self) -> list[str]:
        """The statistics that no longer look like those of the training data."""
        return [drift.name for drift in self.drift if drift.drifted]

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {**asdict(self), "drifted": self.drifted}


def score_input(path: Path, output: Path, model: Served, *, params: Params) -> ScoreResult:
    """Write a prediction for every image at `path` to a Parquet file, and log an MLflow run.

    Sends the event `<project>.drift` to Prefect if there is drift.

    Raises:
        DataError: the input cannot be read; nothing is written.
    """
    source = open_input(path, shape=model.files.shape, picture=model.picture)
    data_md5 = source.md5()
    predict = model.predict  # loads the model, which the rate leaves out
    coverage = params.confidence.coverage
    limit = set_threshold(model, coverage)
    started = time.perf_counter()
    written = write_predictions(
        source, output, predict, model=model.origin.uri, data_md5=data_md5, limit=limit
    )
    images = written.images
    rate = images.rows / (time.perf_counter() - started)
    class_counts = [written.class_counts[label] for label in range(model.files.classes)]
    # the features are left to the monitor: they ask the network for 8,000 images more
    compared = compare(images, np.array(class_counts), None, model, params.drift)
    result = ScoreResult(
        input=printable(str(path)),
        output=printable(str(output)),
        model=model.origin.uri,
        data_md5=data_md5,
        rows=images.rows,
        rows_per_s=rate,
        pictures=dict(written.treatments),
        class_counts=class_counts,
        coverage=None if limit is None else coverage,
        unsure=None if limit is None else written.unsure / images.rows,
        warnings=unusual_images(images.stats, params=params.validation),
        drift=judge(compared, params.drift.level),
    )
    _log_run(result, params.project.part("scoring"))
    tell_drift(params.project.name, "score", result.drifted, result.as_dict())
    return result


class Written(NamedTuple):
    """What went into a file of predictions.

    How often each class was predicted, how many answer sets are no answer, how many pictures had
    each treatment, and what the images were like.
    """

    class_counts: Counter[int]
    unsure: int
    treatments: Counter[str]
    images: Seen


def write_predictions(
    source: Input,
    output: Path,
    predict: Predict,
    *,
    model: str,
    data_md5: str,
    limit: float | None,
) -> Written:
    """Predict an input and write a Parquet file, a row group per batch.

    Columns: `row`, or `file` and `picture` (its treatment; see `pictures.TREATMENTS`) ·
    `predicted` · `set_size` (how many classes the answer set has, the most probable ones; not
    without `limit`, the probability from which a class is in it) · `p0`, `p1`, … (probabilities,
    float32) · `model` (its address with version) · `data_md5`. If anything fails, `output` stays
    as it was.
    """
    class_counts, treatments, no_answers = Counter[int](), Counter[str](), 0
    seen = Seen()
    with replacing(output) as temporary, ExitStack() as open_files:
        writer = None
        for batch in source.batches():
            probabilities = predict(batch.images)
            sets = None if limit is None else answer_sets(probabilities, limit)
            table = _table(batch, probabilities, sets, model, data_md5)
            if writer is None:
                file = pq.ParquetWriter(temporary, table.schema, compression="zstd")
                writer = open_files.enter_context(file)
            writer.write_table(table)
            class_counts.update(probabilities.argmax(axis=1).tolist())
            no_answers += 0 if sets is None else int(unsure(sets).sum())
            treatments.update(batch.treatments)
            seen.add(batch.images)
    return Written(class_counts, no_answers, treatments, seen)


def _table(
    batch: Batch, probabilities: np.ndarray, sets: Sets | None, model: str, data_md5: str
) -> pa.Table:
    name = "file" if isinstance(batch.names[0], str) else "row"
    zeros = pa.array(np.zeros(len(batch.names), np.int8))
    return pa.table(
        {
            name: pa.array(batch.names),
            **({"picture": pa.array(batch.treatments)} if batch.treatments else {}),
            "predicted": pa.array(probabilities.argmax(axis=1).astype(np.int16)),
            **({} if sets is None else {"set_size": pa.array(sets.sum(axis=1, dtype=np.int16))}),
            **{f"p{k}": pa.array(column) for k, column in enumerate(probabilities.T)},
            "model": pa.DictionaryArray.from_arrays(zeros, [model]),
            "data_md5": pa.DictionaryArray.from_arrays(zeros, [data_md5]),
        }
    )


def _log_run(result: ScoreResult, experiment: str) -> None:
    import mlflow

    metrics: dict[str, float] = {"rows": result.rows, "rows_per_s": result.rows_per_s}
    if result.unsure is not None:
        metrics["unsure"] = result.unsure
    for treatment, count in result.pictures.items():
        metrics[f"pictures_{treatment.replace(' ', '_')}"] = count
    for drift in result.drift:
        metrics[f"drift_{drift.name}_effect"] = drift.effect
        metrics[f"drift_{drift.name}_p_value"] = drift.p_value
    tags = {
        "scored_by": result.model,
        "data_md5": result.data_md5,
        "drifted": ", ".join(result.drifted),
    }
    settings = {"input": result.input, "output": result.output}
    what = f"Answers of {result.model} to the images of `input`, by `digits score`."
    with runs.active_run("score", what=what, experiment=experiment, params=settings, tags=tags):
        mlflow.log_metrics(metrics)
