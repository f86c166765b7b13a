"""The pictures of an evaluated model: matrices, reliability, mistakes."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from imageproof.artifacts import WORKSPACE
from imageproof.base import _inference
from imageproof.base._dataset import Metrics
from imageproof.evaluation.asking import Evaluated
from imageproof.judge import scores
from imageproof.judge._confusion import clustered
from imageproof.judge._explain import occlusion
from imageproof.outputs import write_by_split
from imageproof.report import PART_NAMES
from imageproof.report.plots import _confusion as matrix_plots
from imageproof.report.plots import _images, _model
from imageproof.report.plots._theme import save as save

MISTAKES = 24, 6  # pictures, and those of a slow network, which is asked 170 times for each


def draw_matrices(evaluated: Evaluated) -> None:
    """Draw the confusion matrix of each split, as cells and as ribbons."""
    outputs = evaluated.outputs
    matrices = evaluated.matrices
    order = clustered(np.sum([*matrices.values()], axis=0))  # the same in all pictures
    for split, matrix in matrices.items():
        title = f"{evaluated.model}, {PART_NAMES[split]}"
        labels: dict[str, Any] = {"names": evaluated.names, "title": title, "order": order}
        save(matrix_plots.confusion_matrix(matrix, **labels), outputs.matrix_picture(split))
        save(matrix_plots.alluvial(matrix, **labels), outputs.alluvial(split))


def draw_reliability(evaluated: Evaluated, metrics: Mapping[str, Metrics]) -> None:
    """Write accuracy by confidence, as a table and as a picture."""
    path = evaluated.outputs.reliability
    tables = {
        split: scores.reliability(answers.probabilities, answers.data.labels, answers.data.groups)
        for split, answers in evaluated.splits.items()
    }
    write_by_split(path, tables)
    panels = {
        f"{PART_NAMES[split]}: calibration error {metrics[split]['ece']:.4f}": table
        for split, table in tables.items()
    }
    title = f"{evaluated.model}: how often it is right, by its confidence"
    save(_model.reliability(panels, title=title), path.with_suffix(".png"))


def draw_mistakes(evaluated: Evaluated) -> None:
    """Draw the most confident mistakes on the test rows, and what the model looks at in them."""
    test = evaluated.splits["test"]
    predict = evaluated.predict
    limit = _inference.affordable(predict, test.data.images, *MISTAKES)
    mistakes = scores.most_confident_mistakes(test.data, test.probabilities, limit=limit)
    heat = occlusion(predict, mistakes.images, mistakes.prediction, mistakes.truth)
    kind, image_names = WORKSPACE.names_of(test.rows[mistakes.rows])
    mistakes = mistakes._replace(rows=np.array(image_names))
    title = f"{evaluated.model}, test: most confident mistakes\n{kind}"
    figure = _images.mistakes(mistakes, heat, names=evaluated.names, title=title)
    save(figure, evaluated.outputs.mistakes)
