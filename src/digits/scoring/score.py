"""Score images with a registered model: predict, look for what is odd, track."""

import time
from collections import Counter
from dataclasses import dataclass

from digits.core.errors import DataError, printable
from digits.params import Params
from digits.registry.served import Served
from digits.scoring.drift import Found, record, summarise
from digits.scoring.predictions import plan, read_counted, write_predictions


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreResult(Found):
    """The result of scoring: the rate, and what was found in the answers.

    `pictures` counts the pictures of a folder by treatment; see `pictures.TREATMENTS`. The answer
    sets have this `coverage`. `kept` of the `files` of predictions were there before.
    """

    input: str
    output: str
    rows_per_s: float
    pictures: dict[str, int]
    coverage: float
    files: int
    kept: int


def score(source: str, out: str, model: Served, *, params: Params) -> ScoreResult:
    """Write a prediction for every image to a Parquet file, or of each table to one in a folder.

    Logs an MLflow run, and sends the event `<project>.drift` to Prefect if there is drift. Inputs
    that cannot be read are findings of one DataError; the others are finished.
    """
    coverage = params.confidence.coverage
    jobs = plan(source, out, model.origin, coverage)
    findings: list[str] = []
    written: list[int] = []
    started = time.perf_counter()
    for job in jobs:
        try:
            written.append(write_predictions(job, model, coverage))
        except DataError as error:
            findings += error.findings
    if findings:
        raise DataError(*findings)
    rate = sum(written) / (time.perf_counter() - started)
    answers = read_counted(jobs)
    result = ScoreResult(
        input=printable(source),
        output=printable(out),
        rows_per_s=rate,
        pictures=dict(Counter(answers["picture"])) if "picture" in answers else {},
        coverage=coverage,
        files=len(jobs),
        kept=written.count(0),
        # the features are left to the monitor: they ask the network for 8,000 images more
        **summarise(answers, model, params),
    )
    record(
        result,
        "score",
        params.project,
        params.project.part("scoring"),
        settings={"input": result.input, "output": result.output},
        metrics={
            "rows_per_s": rate,
            **{f"pictures_{how.replace(' ', '_')}": n for how, n in result.pictures.items()},
        },
    )
    return result
