"""A model's answers to the test and hold-out rows, and to images that are disturbed."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from imageproof.artifacts import WORKSPACE
from imageproof.base import _inference
from imageproof.base._dataset import (
    EVALUATED,
    Dataset,
    Hits,
    Labels,
    Matrix,
    Predict,
    Probabilities,
    Rows,
    save_arrays,
)
from imageproof.base.files import write_json
from imageproof.features.predict import cached_predict
from imageproof.judge._confusion import confusion_matrix
from imageproof.judge._groups import Intervals
from imageproof.judge.disturbances import Disturb, accuracy_under
from imageproof.outputs import EvaluateOutputs

FEW_DISTURBED = 250  # images of a slow network


class Answers(NamedTuple):
    """The rows of a split, and class probabilities float32 (n, classes) for them."""

    data: Dataset
    rows: Rows  # of the packed images
    probabilities: Probabilities

    @property
    def predicted(self) -> Labels:
        """Predicted classes int64 (n,)."""
        predicted: Labels = self.probabilities.argmax(axis=1)
        return predicted

    @property
    def hits(self) -> Hits:
        """Whether each row is right, bool (n,)."""
        return np.equal(self.predicted, self.data.labels)

    @property
    def independent_rows(self) -> float:
        """How many independent rows tell as much about the accuracy as these."""
        return Intervals(self.hits, self.data.groups).effective()


class Evaluated(NamedTuple):
    """A model that has answered test and hold-out rows; `predict` asks it for other images."""

    model: str
    names: list[str]
    outputs: EvaluateOutputs
    predict: Predict
    splits: Mapping[str, Answers]  # test and holdout

    @property
    def matrices(self) -> dict[str, Matrix]:
        """The confusion matrix of each split."""
        classes = len(self.names)
        return {
            split: confusion_matrix(answers.predicted, answers.data.labels, classes=classes)
            for split, answers in self.splits.items()
        }


def ask(model: str, names: list[str], *, threads: int) -> Evaluated:
    """Ask a trained model for the test and hold-out rows, and write its probabilities.

    `names` are those of its classes. A DataError if the model or a split is missing or damaged.
    """
    outputs = WORKSPACE.evaluated(model)
    network = WORKSPACE.trained(model).model
    predict = _inference.load(network, threads=threads).predict
    predict_known = cached_predict(network, threads=threads)
    splits = {}
    for name in EVALUATED:
        data, rows = WORKSPACE.read_split(name, classes=len(names))
        probabilities = predict_known(data.images)
        probabilities.setflags(write=False)  # a project's own score gets them
        splits[name] = Answers(data, rows, probabilities)
    arrays = {name: answers.probabilities for name, answers in splits.items()}
    save_arrays(outputs.predictions, arrays)
    return Evaluated(model, names, outputs, predict, splits)


def measure_behaviour(
    evaluated: Evaluated, disturbances: Mapping[str, Disturb], *, images: int
) -> None:
    """Ask the model for disturbed test images, and write the accuracies.

    At most so many `images` are disturbed, and FEW_DISTURBED of them for a slow network.
    """
    test = evaluated.splits["test"]
    predict = evaluated.predict
    few = min(images, FEW_DISTURBED)
    count = _inference.affordable(predict, test.data.images, images, few)
    behaviour = accuracy_under(
        predict, test.data, disturbances, images=count, clean=test.probabilities
    )
    write_json(evaluated.outputs.behaviour, behaviour)
