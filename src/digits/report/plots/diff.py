"""Pictures of a model at two revisions."""

from functools import partial
from pathlib import Path

from digits.report.plots.model import confusion_matrix, learning_curves
from digits.report.plots.theme import save
from digits.toolkit.diff.collect import Histories, Matrices


def draw(folder: Path, model: str, matrices: Matrices, histories: Histories) -> list[str]:
    """Draw a model's results, by `old` or `new`, into a folder; returns the files' names."""
    pictures = {f"{model}-learning-curves.png": partial(learning_curves, histories, title=model)}
    for name, (matrix, classes) in matrices.items():
        title = f"{model}, test, {name}"
        picture = partial(confusion_matrix, matrix, names=classes, title=title)
        pictures[f"{model}-{name}-confusion.png"] = picture
    for file, picture in pictures.items():
        save(picture(), folder / file)
    return sorted(pictures)
