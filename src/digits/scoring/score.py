"""Score a batch of images with a registered model: predict, look for what is odd, track."""

import hashlib
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from digits.core.dataset import Predict
from digits.core.errors import printable
from digits.data.validation.validate import ValidateParams
from digits.evaluation.confidence import answer_sets, no_answer
from digits.evaluation.drift import Drift, judge
from digits.params import Params
from digits.registry.served import Served
from digits.scoring.drift import Seen, compare, image_stats, tell_drift
from digits.scoring.inputs import local_input, open_input
from digits.scoring.predict import few_rows, set_threshold
from digits.scoring.storage import writing
from digits.scoring.tables import Batch
from digits.tracking import runs

STATS = ("mean_ink", "contrast")  # the columns that have `image_stats`


class Parts(NamedTuple):
    """How many parts a scoring has, and how many of them an earlier one had left."""

    total: int
    kept: int


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
    parts: Parts | None = None

    @property
    def drifted(self) -> list[str]:
        """The statistics that no longer look like those of the training data."""
        return [drift.name for drift in self.drift if drift.drifted]

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {**asdict(self), "drifted": self.drifted}


class Tally:
    """What is counted of the answers; what parts have counted adds up to that of the whole."""

    def __init__(self, classes: int, usual: ValidateParams, part: int = 0) -> None:
        self.class_counts = np.zeros(classes, np.int64)
        self.unsure = 0
        self.treatments = Counter[str]()
        self.seen = Seen(usual, part)

    def add(self, table: pa.Table) -> None:
        """Count rows of a table of predictions."""
        predicted = table["predicted"].to_numpy()
        self.class_counts += np.bincount(predicted, minlength=len(self.class_counts))
        if "set_size" in table.column_names:
            sizes, classes = table["set_size"].to_numpy(), len(self.class_counts)
            self.unsure += int(no_answer(sizes, classes).sum())
        if "picture" in table.column_names:
            self.treatments.update(table["picture"].to_pylist())
        stats = {name: table[name].to_numpy() for name in STATS}
        self.seen.add_stats(stats, table[0].to_pylist())

    def add_part(self, other: "Tally") -> None:
        """Count what another part has counted."""
        self.class_counts += other.class_counts
        self.unsure += other.unsure
        self.treatments += other.treatments
        self.seen.add_part(other.seen)


def score_file(source: str, output: str, model: Served, *, params: Params) -> ScoreResult:
    """Write a prediction for every image of a file or folder to a Parquet file; log an MLflow run.

    Raises:
        DataError: the input cannot be read; nothing is written.
    """
    with local_input(source) as path:
        images = open_input(path, shape=model.files.shape, picture=model.picture)
        data_md5 = images.md5()
        answering = answers_of(model, params.confidence.coverage)  # takes time, not in the rate
        started = time.perf_counter()
        tally = Tally(model.files.classes, params.validation)
        facts = {"model": model.origin.uri, "data_md5": data_md5}
        with writing(output) as temporary:
            write_predictions(images.batches(), temporary, answering, tally, facts)
    return conclude(
        tally,
        model,
        params,
        source=source,
        output=output,
        data_md5=data_md5,
        rows_per_s=tally.seen.rows / (time.perf_counter() - started),
    )


def conclude(
    tally: Tally,
    model: Served,
    params: Params,
    *,
    source: str,
    output: str,
    data_md5: str,
    rows_per_s: float,
    parts: Parts | None = None,
) -> ScoreResult:
    """Compare what was counted with the training data, and log it as an MLflow run.

    Sends the event `<project>.drift` to Prefect if there is drift.
    """
    has_sets = model.files.calibration is not None
    rows = tally.seen.rows
    # the features are left to the monitor: they ask the network for 8,000 images more
    compared = compare(tally.seen, tally.class_counts, None, model, params.drift)
    result = ScoreResult(
        input=printable(source),
        output=printable(output),
        model=model.origin.uri,
        data_md5=data_md5,
        rows=rows,
        rows_per_s=rows_per_s,
        pictures=dict(tally.treatments),
        class_counts=tally.class_counts.tolist(),
        coverage=params.confidence.coverage if has_sets else None,
        unsure=tally.unsure / rows if has_sets else None,
        parts=parts,
        warnings=[*tally.seen.warnings, *few_rows(model, params.confidence.coverage)],
        drift=judge(compared, params.drift.level),
    )
    _log_run(result, params.project.part("scoring"))
    tell_drift(params.project.name, "score", result.drifted, result.as_dict())
    return result


class Answering(NamedTuple):
    """How a version answers; `limit` is the probability from which a class is in an answer set."""

    predict: Predict
    limit: float | None


def answers_of(model: Served, coverage: float) -> Answering:
    """Load the network of a version."""
    return Answering(model.predict, set_threshold(model, coverage))


def write_predictions(
    batches: Iterable[Batch],
    output: Path,
    answering: Answering,
    tally: Tally,
    facts: Mapping[str, str],
) -> str:
    """Predict images, write a Parquet file, a row group per batch, and count what is in it.

    Columns: `row`, or `file` and `picture` (its treatment; see `pictures.TREATMENTS`) ·
    `predicted` · `set_size` (how many classes the answer set has, the most probable ones; not
    without calibration) · `p0`, `p1`, … (probabilities, float32) · `mean_ink`, `contrast` (see
    `drift.image_stats`) · `facts`, such as `model` (its address with version).

    Returns the md5 of the images' bytes.
    """
    pixels = hashlib.md5(usedforsecurity=False)
    with ExitStack() as open_files:
        writer = None
        for batch in batches:
            pixels.update(batch.images.tobytes())
            table = _table(batch, answering, facts)
            if writer is None:
                file = pq.ParquetWriter(output, table.schema, compression="zstd")
                writer = open_files.enter_context(file)
            writer.write_table(table)
            tally.add(table)
    return pixels.hexdigest()


def _table(batch: Batch, answering: Answering, facts: Mapping[str, str]) -> pa.Table:
    probabilities = answering.predict(batch.images)
    name = "file" if isinstance(batch.names[0], str) else "row"
    columns = {name: pa.array(batch.names)}
    if batch.treatments:
        columns["picture"] = pa.array(batch.treatments)
    columns["predicted"] = pa.array(probabilities.argmax(axis=1).astype(np.int16))
    if answering.limit is not None:
        sets = answer_sets(probabilities, answering.limit)
        columns["set_size"] = pa.array(sets.sum(axis=1, dtype=np.int16))
    columns |= {f"p{k}": pa.array(column) for k, column in enumerate(probabilities.T)}
    columns |= {key: pa.array(values) for key, values in image_stats(batch.images).items()}
    zeros = pa.array(np.zeros(len(batch.names), np.int8))
    columns |= {key: pa.DictionaryArray.from_arrays(zeros, [value]) for key, value in facts.items()}
    return pa.table(columns)


def _log_run(result: ScoreResult, experiment: str) -> None:
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
        runs.log_metrics(metrics)
