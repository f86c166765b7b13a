"""What the report is made of: plain values that the stages already have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from digits.core.artifacts import RunRecord
from digits.core.dataset import Matrix
from digits.evaluation.caret import Statistics
from digits.evaluation.comparison import Pair
from digits.evaluation.mistakes import Mistakes


@dataclass(frozen=True, eq=False)
class SplitResult:
    """One model on one split.

    Attributes:
        name: of the split, `test` or `holdout`.
        statistics: what `caret.statistics` says of the matrix.
        scores: metric → value, what `evaluation.evaluate` returns.
        matrix: counts int64 (classes, classes), rows are predictions, columns the reference.
    """

    name: str
    statistics: Statistics
    scores: Mapping[str, float]
    matrix: Matrix


@dataclass(frozen=True, eq=False)
class ModelResult:
    """One model.

    Attributes:
        name: of the model.
        run: the MLflow run of its training.
        history: per epoch `loss accuracy val_loss val_accuracy`.
        splits: the same splits in the same order for every model; the first is the one that
            models are compared on.
        train_s: elapsed seconds of training.
        mistakes: the most confident ones, of the first split.
        behaviour: what `robustness.accuracy_under` returns.
    """

    name: str
    run: RunRecord
    history: Sequence[Mapping[str, float]]
    splits: Sequence[SplitResult]
    train_s: float
    mistakes: Mistakes
    behaviour: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class ReportContent:
    """The whole report.

    Attributes:
        class_names: one per class.
        verdicts: what the comparison comes to, in words: a line per pair, and per fragile model.
        table: the comparison, heading → cell per model, the same headings in each.
        pairs: every two models on the same rows.
        models: at least one.
        validation: the result of the `validate` stage, as it stands in its JSON.
        pictures: caption → PNG file content, of the raw data.
    """

    class_names: list[str]
    verdicts: Sequence[str]
    table: Sequence[Mapping[str, str]]
    pairs: Sequence[Pair]
    models: Sequence[ModelResult]
    validation: Mapping[str, Any]
    pictures: Mapping[str, bytes]
