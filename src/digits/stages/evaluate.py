"""`evaluate@<model>`: scores, statistics and pictures of a model on the test and hold-out rows."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd

from digits.core import process
from digits.core.artifacts import (
    EVALUATED,
    EvaluateOutputs,
    TrainOutputs,
    in_file,
    read_calibration,
    read_split,
    split_path,
)
from digits.core.dataset import Dataset, Matrix, save_arrays
from digits.core.files import md5, replacing, write_json
from digits.evaluation.behaviour import accuracy_under
from digits.evaluation.caret import statistics
from digits.evaluation.confidence import (
    TEMPERATURE_1,
    answer_sets,
    measure,
    threshold,
    too_few_rows,
)
from digits.evaluation.confusion_csv import write_matrix
from digits.evaluation.scores import (
    Mistakes,
    confusion_matrix,
    most_confident_mistakes,
    reliability,
    score_probabilities,
)
from digits.params import load as load_params
from digits.reporting.plots import model as plots
from digits.reporting.plots.theme import save
from digits.training import inference

MISTAKES_DRAWN = 24


def main(model: str) -> None:
    """Write artifacts/evaluate/<model>/ and upload it to the model's MLflow run."""
    params = load_params()
    names = params.data.names
    stored = {name: read_split(name, classes=params.data.classes) for name in EVALUATED}
    splits = {name: split.data for name, split in stored.items()}
    predict = inference.load(TrainOutputs(model).model, threads=params.train.threads).predict
    outputs, test = EvaluateOutputs(model), splits["test"]
    probabilities = {name: predict(data.images) for name, data in splits.items()}
    save_arrays(outputs.predictions, probabilities)
    with ThreadPoolExecutor(1) as beside:  # the network answers without Python's lock
        behaviour = beside.submit(
            accuracy_under, predict, test, params.behaviour, clean=probabilities["test"]
        )
        matrices = write_figures(outputs, splits, probabilities, names=names)
        found = answer_sets_worth(model, splits, probabilities, params.confidence.coverage)
        write_json(outputs.confidence, found)
        by_confidence = {n: reliability(probabilities[n], d.labels) for n, d in splits.items()}
        with replacing(outputs.reliability) as temporary:
            pd.concat(by_confidence, names=["split"]).droplevel(1).to_csv(temporary)
        mistakes = most_confident_mistakes(test, probabilities["test"], limit=MISTAKES_DRAWN)
        file, rows = in_file(stored["test"].rows[mistakes.rows])
        mistakes = mistakes._replace(rows=rows)
        draw(model, matrices, mistakes, by_confidence, names=names, file=file)
        from digits.tracking import restore  # MLflow takes a second
    write_json(outputs.behaviour, behaviour.result())
    restore.log_evaluation(model, {name: md5(split_path(name)) for name in EVALUATED})


def write_figures(
    outputs: EvaluateOutputs,
    splits: dict[str, Dataset],
    probabilities: dict[str, np.ndarray],
    *,
    names: list[str],
) -> dict[str, Matrix]:
    """Write confusion matrix, scores and caret's statistics of each split; returns the matrices."""
    matrices, scores, tables = {}, {}, {}
    for name, data in splits.items():
        predicted = probabilities[name].argmax(axis=1)
        matrices[name] = confusion_matrix(predicted, data.labels, classes=len(names))
        scores[name] = score_probabilities(probabilities[name], data.labels)
        tables[name] = statistics(matrices[name], classes=names)._asdict()
        write_matrix(outputs.matrix(name), matrices[name], names=names)
    write_json(outputs.metrics, scores)
    write_json(outputs.statistics, tables)
    return matrices


def answer_sets_worth(
    model: str, splits: dict[str, Dataset], probabilities: dict[str, np.ndarray], coverage: float
) -> dict[str, Any]:
    temperature, truth = read_calibration(TrainOutputs(model).calibration)
    if temperature == 1:
        print(f"warning: {model}: {TEMPERATURE_1}; its probabilities may be too high or too low")
    if finding := too_few_rows(len(truth), coverage):
        print(f"warning: {finding}")
    limit = threshold(truth, coverage)
    found = {
        name: measure(answer_sets(probabilities[name], limit), data.labels)._asdict()
        for name, data in splits.items()
    }
    return {"asked": coverage, "threshold": limit, **found}


def draw(
    model: str,
    matrices: dict[str, Matrix],
    mistakes: Mistakes,
    by_confidence: dict[str, pd.DataFrame],
    *,
    names: list[str],
    file: str,
) -> None:
    outputs = EvaluateOutputs(model)
    for split, matrix in matrices.items():
        title = f"{model}, {split}"
        cells = plots.confusion_matrix(matrix, names=names, title=title)
        save(cells, outputs.matrix_picture(split))
        save(plots.alluvial(matrix, names=names, title=title), outputs.alluvial(split))
    title = f"{model}, test: most confident mistakes\nrows of {file}, counted from 0"
    save(plots.mistakes(mistakes, names=names, title=title), outputs.mistakes)
    scores = outputs.read_metrics()
    panels = {
        f"{split}: calibration error {scores[split]['ece']:.4f}": table
        for split, table in by_confidence.items()
    }
    title = f"{model}: how often it is right, by its confidence"
    save(plots.reliability(panels, title=title), outputs.reliability_picture)


if __name__ == "__main__":
    process.run_stage(main)
