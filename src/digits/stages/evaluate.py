"""`evaluate@<model>`: what the test and hold-out splits say about one trained model."""

import numpy as np

from digits import params
from digits.core import process
from digits.core.artifacts import EVALUATED, EvaluateOutputs, TrainOutputs, read_split
from digits.core.dataset import Dataset
from digits.core.files import write_json


def main(model: str) -> None:
    """Write artifacts/evaluate/<model>/ and add it to the model's MLflow run."""
    checked = params.load()
    splits = {name: read_split(name, classes=checked.data.classes).data for name in EVALUATED}
    with process.quiet_tensorflow(checked.train.threads):
        from digits.training import inference
    from digits.evaluation.robustness import accuracy_under
    from digits.reporting.publishing import publish

    predict = inference.predictor(inference.load(TrainOutputs(model).model))
    outputs = EvaluateOutputs(model)
    probabilities = {name: predict(data.images) for name, data in splits.items()}
    outputs.write_predictions(probabilities)
    judge(outputs, splits, probabilities, names=checked.data.names)
    behaviour = accuracy_under(predict, splits["test"], clean=probabilities["test"])
    write_json(outputs.behaviour, behaviour)
    publish(model, names=checked.data.names)


def judge(
    outputs: EvaluateOutputs,
    splits: dict[str, Dataset],
    probabilities: dict[str, np.ndarray],
    *,
    names: list[str],
) -> None:
    """Write scores, confusion matrix and caret's statistics of each split."""
    from digits.evaluation.caret import statistics
    from digits.evaluation.caret_tables import as_dict
    from digits.evaluation.scores import confusion_matrix, score_probabilities

    scores, figures = {}, {}
    for name, data in splits.items():
        predicted = probabilities[name].argmax(axis=1)
        matrix = confusion_matrix(predicted, data.labels, classes=len(names))
        outputs.write_matrix(name, matrix, names=names)
        scores[name] = score_probabilities(probabilities[name], data.labels)
        figures[name] = as_dict(statistics(matrix, classes=names))
    outputs.write_metrics(scores)
    write_json(outputs.statistics, figures)


if __name__ == "__main__":
    process.run_stage(main)
