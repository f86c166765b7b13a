"""`evaluate@<model>`: scores, statistics and pictures of a model on the test and hold-out rows."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from digits.params import load as load_params
from digits.project import as_project
from imageproof.artifacts import WORKSPACE
from imageproof.base import inference
from imageproof.base.dataset import (
    EVALUATED,
    Dataset,
    Matrix,
    Predict,
    Probabilities,
    Split,
    save_arrays,
)
from imageproof.base.files import md5, replacing, write_json
from imageproof.dvc.stage_command import run_stage
from imageproof.dvc.stage_inputs import check_inputs
from imageproof.features.predict import cached_predict
from imageproof.judge import baseline, caret, confidence, confusion, scores, slices
from imageproof.judge.disturbances import accuracy_under, disturbances
from imageproof.judge.explain import occlusion
from imageproof.judge.groups import Intervals
from imageproof.outputs import EvaluateOutputs, Metrics, read_calibration
from imageproof.report.plots import confusion as matrix_plots
from imageproof.report.plots import images
from imageproof.report.plots import model as plots
from imageproof.report.plots.theme import save

MISTAKES = 24, 6  # pictures; fewer of a slow network, which is asked 170 times for each
FEW_DISTURBED = 250  # images of a slow network

Answers = Mapping[str, Probabilities]  # by split


def main(model: str) -> None:
    """Write artifacts/evaluate/<model>/ and upload it to the model's MLflow run."""
    params = load_params()
    names = WORKSPACE.class_names(params.data.classes, params.data.class_names)
    splits = {name: WORKSPACE.read_split(name, classes=len(names)) for name in EVALUATED}
    data = {name: split.data for name, split in splits.items()}
    outputs = WORKSPACE.evaluated(model)
    network = WORKSPACE.trained(model).model
    predict = inference.load(network, threads=params.train.threads).predict
    predict_known = cached_predict(network, threads=params.train.threads)
    answers = {name: predict_known(rows.images) for name, rows in data.items()}
    save_arrays(outputs.predictions, answers)
    with ThreadPoolExecutor(1) as executor:  # the network answers without Python's lock
        behaviour = executor.submit(
            accuracy_under,
            predict,
            data["test"],
            disturbances(params.behaviour),
            images=affordable_images(predict, data["test"], params.behaviour.images),
            clean=answers["test"],
        )
        matrices, metrics = write_figures(outputs, data, answers, names=names)
        write_answer_sets(model, data, answers, params.confidence.coverage)
        write_slices(model, splits, answers)
        write_gain(outputs, data, answers)
        draw_matrices(model, matrices, names)
        draw_reliability(model, data, answers, metrics)
        draw_mistakes(model, splits["test"], answers["test"], predict, names)
        from imageproof.mlflow import restore  # MLflow takes a second
    write_json(outputs.behaviour, behaviour.result())
    check_inputs()  # before the run gets figures
    digests = {name: md5(WORKSPACE.split(name)) for name in splits}
    restore.log_evaluation(model, digests, as_project(params))


def affordable_images(predict: Predict, test: Dataset, limit: int) -> int:
    """How many images are disturbed: few of a slow network."""
    return inference.affordable(predict, test.images, limit, min(limit, FEW_DISTURBED))


def write_figures(
    outputs: EvaluateOutputs, data: Mapping[str, Dataset], answers: Answers, *, names: list[str]
) -> tuple[dict[str, Matrix], dict[str, Metrics]]:
    """Write confusion matrix, scores and statistics by split; returns matrices and scores."""
    matrices = {}
    metrics = {}
    statistics = {}
    for split, rows in data.items():
        predicted = answers[split].argmax(axis=1)
        matrix = confusion.confusion_matrix(predicted, rows.labels, classes=len(names))
        effective = Intervals(predicted == rows.labels, rows.groups).effective()
        matrices[split] = matrix
        metrics[split] = scores.score_probabilities(answers[split], rows.labels)
        statistics[split] = caret.statistics(matrix, classes=names, effective=effective)._asdict()
        confusion.write_matrix(outputs.matrices[split], matrix, names=names)
    write_json(outputs.metrics, metrics)
    write_json(outputs.statistics, statistics)
    errors = {split: confusion.most_confused(m, names=names) for split, m in matrices.items()}
    write_by_split(outputs.confused, errors)
    return matrices, metrics


def write_answer_sets(
    model: str, data: Mapping[str, Dataset], answers: Answers, coverage: float
) -> None:
    """Write how often the answer sets hold the true class; print why they may be no use."""
    temperature, truth = read_calibration(WORKSPACE.trained(model).calibration)
    if temperature == 1:
        reason = confidence.TEMPERATURE_1
        print(f"warning: {model}: {reason}; its probabilities may be too high or too low")
    if finding := confidence.too_few_rows(len(truth), coverage):
        print(f"warning: {finding}")
    threshold = confidence.threshold(truth, coverage)
    content: dict[str, Any] = {"asked": coverage, "threshold": threshold}
    for split, rows in data.items():
        sets = confidence.answer_sets(answers[split], threshold)
        content[split] = confidence.measure(sets, rows.labels, rows.groups)._asdict()
    write_json(WORKSPACE.evaluated(model).confidence, content)


def write_slices(model: str, splits: Mapping[str, Split], answers: Answers) -> None:
    """Write the accuracy in the slices of each split; only a header without metadata."""
    tables = {}
    for name, (data, rows) in splits.items():
        own_slices, left_out = slices.find_slices(WORKSPACE.metadata(rows))
        hits = answers[name].argmax(axis=1) == data.labels
        tables[name] = slices.measure(own_slices, hits, data.groups)
        for line in left_out:
            print(f"{model}, {name}: {line}")
    write_by_split(WORKSPACE.evaluated(model).slices, tables)


def write_gain(
    outputs: EvaluateOutputs,
    data: Mapping[str, Dataset],
    answers: Answers,
) -> None:
    """Write how much more than the baseline the model gets right."""
    content: dict[str, Any] = {"name": WORKSPACE.baseline.read_record().name}
    baseline_answers = WORKSPACE.baseline.read_predictions()
    for split, rows in data.items():
        hits = answers[split].argmax(axis=1) == rows.labels
        baseline_hits = baseline_answers[split].argmax(axis=1) == rows.labels
        content[split] = baseline.compare(hits, baseline_hits, rows.groups)
    write_json(outputs.baseline, content)


def write_by_split(path: Path, tables: Mapping[str, pd.DataFrame]) -> None:
    with replacing(path) as temporary:
        pd.concat(tables, names=["split"]).droplevel(1).to_csv(temporary)


def draw_matrices(model: str, matrices: Mapping[str, Matrix], names: list[str]) -> None:
    outputs = WORKSPACE.evaluated(model)
    order = confusion.clustered(np.sum([*matrices.values()], axis=0))  # the same in all pictures
    for split, matrix in matrices.items():
        labels: dict[str, Any] = {"names": names, "title": f"{model}, {split}", "order": order}
        save(matrix_plots.confusion_matrix(matrix, **labels), outputs.matrix_picture(split))
        save(matrix_plots.alluvial(matrix, **labels), outputs.alluvial(split))


def draw_reliability(
    model: str,
    data: Mapping[str, Dataset],
    answers: Answers,
    metrics: Mapping[str, Metrics],
) -> None:
    """Write accuracy by confidence, as a table and as a picture."""
    outputs = WORKSPACE.evaluated(model)
    tables = {
        split: scores.reliability(answers[split], rows.labels, rows.groups)
        for split, rows in data.items()
    }
    write_by_split(outputs.reliability, tables)
    panels = {
        f"{split}: calibration error {metrics[split]['ece']:.4f}": table
        for split, table in tables.items()
    }
    title = f"{model}: how often it is right, by its confidence"
    save(plots.reliability(panels, title=title), outputs.reliability.with_suffix(".png"))


def draw_mistakes(
    model: str, test: Split, probabilities: Probabilities, predict: Predict, names: list[str]
) -> None:
    limit = inference.affordable(predict, test.data.images, *MISTAKES)
    mistakes = scores.most_confident_mistakes(test.data, probabilities, limit=limit)
    heat = occlusion(predict, mistakes.images, mistakes.prediction, mistakes.truth)
    kind, image_names = WORKSPACE.names_of(test.rows[mistakes.rows])
    mistakes = mistakes._replace(rows=np.array(image_names))
    title = f"{model}, test: most confident mistakes\n{kind}"
    figure = images.mistakes(mistakes, heat, names=names, title=title)
    save(figure, WORKSPACE.evaluated(model).mistakes)


if __name__ == "__main__":
    run_stage(main)
