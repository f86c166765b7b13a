"""The pictures of a model at two revisions: confusion matrices, and learning curves in one."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from digits.core.artifacts import EvaluateOutputs, TrainOutputs
from digits.core.errors import printable
from digits.evaluation.confusion_csv import read_matrix
from digits.reporting.plots.model import confusion_matrix, learning_curves
from digits.reporting.plots.theme import save

if TYPE_CHECKING:
    from digits.reporting.diff.side import Side

MOST_CLASSES = 50  # of a matrix that one can read


def draw(model: str, sides: Mapping[str, "Side"], folder: Path) -> list[Path]:
    """Draw a model's results, by `old` or `new`, into a folder; returns the files' names."""
    pictures, histories = {}, {}
    for name, side in sides.items():
        matrix, history = EvaluateOutputs(model).matrix("test"), TrainOutputs(model).history
        side.fetch(matrix, history)
        with side.reading():
            counts, classes = read_matrix(side.root / matrix)
            histories[name] = TrainOutputs(model, side.root).read_history()
        if len(classes) <= MOST_CLASSES:
            title = f"{model}, test, {name}"
            pictures[f"{name}-confusion"] = confusion_matrix(
                counts, names=[*map(printable, classes)], title=title
            )
    pictures["learning-curves"] = learning_curves(histories, title=model)
    for name, figure in pictures.items():
        save(figure, folder / f"{model}-{name}.png")
    return [Path(f"{model}-{name}.png") for name in pictures]
