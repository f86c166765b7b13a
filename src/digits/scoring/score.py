"""Score images with a registered model: predict, look for what is odd, track."""

import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from hashlib import md5

from digits.core.errors import DataError, printable
from digits.evaluation.drift import Drift
from digits.params import Params
from digits.registry.served import Served
from digits.scoring.drift import drift_metrics, summarise, tell_drift
from digits.scoring.predictions import plan, read_counted, write_predictions
from digits.tracking import runs


@dataclass(frozen=True, slots=True)
class ScoreResult:
    """The result of scoring: row count and rate, class counts, and drift from the training data.

    `pictures` counts the pictures of a folder by treatment; see `pictures.TREATMENTS`. `unsure` is
    the share of rows whose answer set cannot be used, at the `coverage` that was asked for.
    `drifted` names statistics that no longer look like those of the training data. `kept` of the
    `files` of predictions were there before.
    """

    input: str
    output: str
    model: str
    data_md5: str
    rows: int
    rows_per_s: float
    pictures: dict[str, int]
    class_counts: list[int]
    coverage: float
    unsure: float
    warnings: list[str]
    drift: list[Drift]
    drifted: list[str]
    files: int
    kept: int


def score(source: str, out: str, model: Served, *, params: Params) -> ScoreResult:
    """Write a prediction for every image to a Parquet file, or of each table to one in a folder.

    Logs an MLflow run, and sends the event `<project>.drift` to Prefect if there is drift.

    Raises:
        DataError: inputs that cannot be read, with a finding each; the others are finished.
        ServiceError: a store does not answer; finished files stay.
        UsageError: see `plan`.
    """
    coverage = params.confidence.coverage
    jobs = plan(source, out, model.origin, coverage)
    findings: list[str] = []
    written: list[int] = []
    started = time.perf_counter()
    for number, job in enumerate(jobs, start=1):
        try:
            written.append(write_predictions(job, model, coverage))
        except DataError as error:
            findings += error.findings
        if len(jobs) > 1:
            print(f"{number:,} of {len(jobs):,} files", file=sys.stderr, flush=True)
    if findings:
        raise DataError(*findings)
    rate = sum(written) / (time.perf_counter() - started)
    answers = read_counted(jobs)
    digests = answers["data_md5"].unique().tolist()
    of_all = md5("\n".join(digests).encode(), usedforsecurity=False).hexdigest()
    result = ScoreResult(
        input=printable(source),
        output=printable(out),
        data_md5=digests[0] if len(digests) == 1 else of_all,
        rows_per_s=rate,
        pictures=dict(Counter(answers["picture"])) if "picture" in answers else {},
        coverage=coverage,
        files=len(jobs),
        kept=written.count(0),
        # the features are left to the monitor: they ask the network for 8,000 images more
        **summarise(answers, model, params),
    )
    _log_run(result, params.project.part("scoring"))
    tell_drift(params.project.name, "score", result.drifted, asdict(result))
    return result


def _log_run(result: ScoreResult, experiment: str) -> None:
    metrics = {
        "rows": result.rows,
        "rows_per_s": result.rows_per_s,
        "unsure": result.unsure,
        **{f"pictures_{how.replace(' ', '_')}": count for how, count in result.pictures.items()},
        **drift_metrics(result.drift),
    }
    drifted = ", ".join(result.drifted)
    tags = {"scored_by": result.model, "data_md5": result.data_md5, "drifted": drifted}
    settings = {"input": result.input, "output": result.output}
    what = f"Answers of {result.model} to the images of `input`, by `digits score`."
    with runs.active_run("score", what=what, experiment=experiment, params=settings, tags=tags):
        runs.log_metrics(metrics)
