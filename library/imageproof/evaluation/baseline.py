"""The stage `baseline`: what a classical classifier of the same rows gets right."""

from imageproof.artifacts import WORKSPACE
from imageproof.base._dataset import EVALUATED, save_arrays
from imageproof.base.files import write_json
from imageproof.features._baseline import Baseline, fit_baseline
from imageproof.judge._groups import accuracy
from imageproof.judge.scores import score_probabilities
from imageproof.outputs import BaselineRecord


def write_baseline(*, classes: int, seed: int) -> None:
    """Fit the baseline to the training rows; write its answers to test and hold-out, and scores.

    A DataError if a split is missing or damaged.
    """
    train = WORKSPACE.read_split("train", classes=classes).data
    baseline = fit_baseline(train, classes=classes, seed=seed)
    _report(baseline, len(train))
    outputs = WORKSPACE.baseline
    answers = {}
    metrics = {}
    for split in EVALUATED:
        rows = WORKSPACE.read_split(split, classes=classes).data
        answers[split] = baseline.predict(rows.images)
        hits = answers[split].argmax(axis=1) == rows.labels
        scores = score_probabilities(answers[split], rows.labels)
        metrics[split] = scores | accuracy(hits, rows.groups)
    save_arrays(outputs.predictions, answers)
    record = BaselineRecord(
        name=baseline.name, rows=baseline.rows, accuracies=dict(baseline.accuracies)
    )
    write_json(outputs.record, record.model_dump())
    write_json(outputs.metrics, metrics)


def _report(baseline: Baseline, train_rows: int) -> None:
    """Print which description of the images was chosen, by what accuracies in folds."""
    rows = f"{baseline.rows:,} of {train_rows:,} training rows"
    if not baseline.accuracies:
        reason = "have fewer than two different images, or groups, of a class"
        print(f"warning: baseline: {rows} {reason}; {baseline.name} is taken untested")
        return
    shares = [f"{name} {100 * share:.2f} %" for name, share in baseline.accuracies.items()]
    print(f"baseline: {baseline.name}; accuracy in folds of {rows}: {', '.join(shares)}")
