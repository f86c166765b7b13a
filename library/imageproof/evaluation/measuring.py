"""What an evaluation writes in figures: statistics, answer sets, slices, the baseline's gain."""

from collections.abc import Mapping
from typing import Any

from imageproof.artifacts import WORKSPACE
from imageproof.base._dataset import Metrics
from imageproof.base.files import write_json
from imageproof.evaluation.asking import Evaluated
from imageproof.judge import _caret, _confusion, _slices, confidence, scores
from imageproof.judge._comparison import compare_with_baseline
from imageproof.outputs import read_calibration, write_by_split


def write_figures(
    evaluated: Evaluated,
    metrics: Mapping[str, Metrics],
    *,
    coverage: float,
) -> None:
    """Write the scores by split, and all that follows from the answers.

    `coverage` 0…1 is the share of answer sets that shall hold the true class.
    """
    figures = {
        split: scores.numbers(metrics[split]) | {"independent_rows": answers.independent_rows}
        for split, answers in evaluated.splits.items()
    }
    write_json(evaluated.outputs.metrics, figures)
    _write_statistics(evaluated)
    _write_answer_sets(evaluated, coverage)
    _write_slices(evaluated)
    _write_gain(evaluated)


def _write_statistics(evaluated: Evaluated) -> None:
    """Write confusion matrices, the statistics of caret, and the errors that were made."""
    names = evaluated.names
    statistics = {}
    errors = {}
    for split, matrix in evaluated.matrices.items():
        answers = evaluated.splits[split]
        effective = answers.independent_rows
        statistics[split] = _caret.statistics(matrix, classes=names, effective=effective)._asdict()
        errors[split] = _confusion.most_confused(matrix, names=names)
        _confusion.write_matrix(evaluated.outputs.matrices[split], matrix, names=names)
    write_json(evaluated.outputs.statistics, statistics)
    write_by_split(evaluated.outputs.confused, errors)


def _write_answer_sets(evaluated: Evaluated, coverage: float) -> None:
    """Write how often the answer sets hold the true class; print why they may be no use."""
    model = evaluated.model
    temperature, truth = read_calibration(WORKSPACE.trained(model).calibration)
    if temperature == 1:
        print(
            f"warning: {model}: its temperature stays 1, as all validation rows are right or no "
            "other fits them better; its probabilities may be too high or too low"
        )
    if finding := confidence.too_few_rows(len(truth), coverage):
        print(f"warning: {finding}")
    threshold = confidence.threshold(truth, coverage)
    content: dict[str, Any] = {"asked": coverage, "threshold": threshold}
    for split, answers in evaluated.splits.items():
        sets = confidence.answer_sets(answers.probabilities, threshold)
        data = answers.data
        content[split] = confidence.measure(sets, data.labels, data.groups)
    write_json(evaluated.outputs.confidence, content)


def _write_slices(evaluated: Evaluated) -> None:
    """Write the accuracy in the slices of each split; only a header without metadata."""
    tables = {}
    for split, answers in evaluated.splits.items():
        rows_of_slices, left_out = _slices.find_slices(WORKSPACE.metadata(answers.rows))
        tables[split] = _slices.measure(rows_of_slices, answers.hits, answers.data.groups)
        for line in left_out:
            print(f"{evaluated.model}, {split}: {line}")
    write_by_split(evaluated.outputs.slices, tables)


def _write_gain(evaluated: Evaluated) -> None:
    """Write how much more than the baseline the model gets right."""
    content: dict[str, Any] = {"name": WORKSPACE.baseline.read_record().name}
    probabilities = WORKSPACE.baseline.read_predictions()
    for split, answers in evaluated.splits.items():
        baseline_hits = probabilities[split].argmax(axis=1) == answers.data.labels
        content[split] = compare_with_baseline(answers.hits, baseline_hits, answers.data.groups)
    write_json(evaluated.outputs.baseline, content)
