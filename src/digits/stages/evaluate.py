"""`evaluate@<model>`: scores, statistics and pictures of a model on the test and hold-out rows."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from digits.params import load as load_params
from digits.project import as_project
from imageproof.artifacts import WORKSPACE
from imageproof.base import inference
from imageproof.base.dataset import EVALUATED, Dataset, Matrix, Split, save_arrays
from imageproof.base.files import md5, replacing, write_json
from imageproof.dvc.stage_command import run_stage
from imageproof.dvc.stage_inputs import check_inputs
from imageproof.features.predict import cached_predict
from imageproof.judge import caret, confidence, confusion, scores, slices
from imageproof.judge import disturbances as behaviour
from imageproof.judge.confusion_csv import write_matrix
from imageproof.judge.explain import Heat, occlusion
from imageproof.judge.groups import Intervals
from imageproof.outputs import EvaluateOutputs, read_calibration
from imageproof.report.plots import confusion as matrix_plots
from imageproof.report.plots import images
from imageproof.report.plots import model as plots
from imageproof.report.plots.theme import save

MISTAKES = 24, 6  # pictures; fewer of a slow network, which is asked 170 times for each
FEW_DISTURBED = 250  # images of a slow network


def main(model: str) -> None:
    """Write artifacts/evaluate/<model>/ and upload it to the model's MLflow run."""
    params = load_params()
    names = WORKSPACE.class_names(params.data.classes, params.data.class_names)
    stored = {n: WORKSPACE.read_split(n, classes=len(names)) for n in EVALUATED}
    splits = {name: split.data for name, split in stored.items()}
    network, outputs = WORKSPACE.trained(model).model, WORKSPACE.evaluated(model)
    threads = params.train.threads
    predict = inference.load(network, threads=threads).predict
    predict_known = cached_predict(network, threads=threads)
    probabilities = {name: predict_known(data.images) for name, data in splits.items()}
    save_arrays(outputs.predictions, probabilities)
    with ThreadPoolExecutor(1) as beside:  # the network answers without Python's lock
        test, clean = splits["test"], probabilities["test"]
        many = params.behaviour.images
        disturbed = beside.submit(
            behaviour.accuracy_under,
            predict,
            test,
            behaviour.disturbances(params.behaviour),
            images=inference.affordable(predict, test.images, many, min(many, FEW_DISTURBED)),
            clean=clean,
        )
        matrices = write_figures(outputs, splits, probabilities, names=names)
        found = answer_sets_worth(model, splits, probabilities, params.confidence.coverage)
        write_json(outputs.confidence, found)
        answered = {
            name: (probabilities[name], data.labels, data.groups) for name, data in splits.items()
        }
        by_confidence = {name: scores.reliability(*each) for name, each in answered.items()}
        write_by_split(outputs.reliability, by_confidence)
        write_slices(model, stored, probabilities)
        mistakes = scores.most_confident_mistakes(
            test, clean, limit=inference.affordable(predict, test.images, *MISTAKES)
        )
        what, rows = WORKSPACE.names_of(stored["test"].rows[mistakes.rows])
        mistakes = mistakes._replace(rows=np.array(rows))
        heat = occlusion(predict, mistakes.images, mistakes.prediction, mistakes.truth)
        draw(model, matrices, mistakes, heat, by_confidence, names=names, what=what)
        from imageproof.mlflow import restore  # MLflow takes a second
    write_json(outputs.behaviour, disturbed.result())
    check_inputs()  # before the run gets figures
    digests = {name: md5(WORKSPACE.split(name)) for name in splits}
    restore.log_evaluation(model, digests, as_project(params))


def write_figures(
    outputs: EvaluateOutputs,
    splits: dict[str, Dataset],
    probabilities: dict[str, np.ndarray],
    *,
    names: list[str],
) -> dict[str, Matrix]:
    """Write confusion matrix, scores and statistics of each split; returns the matrices."""
    matrices, metrics, tables = {}, {}, {}
    for name, data in splits.items():
        predicted = probabilities[name].argmax(axis=1)
        matrices[name] = confusion.confusion_matrix(predicted, data.labels, classes=len(names))
        metrics[name] = scores.score_probabilities(probabilities[name], data.labels)
        effective = None
        if data.groups is not None:
            effective = Intervals(predicted == data.labels, data.groups).effective()
        statistics = caret.statistics(matrices[name], classes=names, effective=effective)
        tables[name] = statistics._asdict()
        write_matrix(outputs.matrices[name], matrices[name], names=names)
    write_json(outputs.metrics, metrics)
    write_json(outputs.statistics, tables)
    write_by_split(
        outputs.confused, {n: confusion.most_confused(m, names=names) for n, m in matrices.items()}
    )
    return matrices


def write_slices(
    model: str, splits: dict[str, Split], probabilities: dict[str, np.ndarray]
) -> None:
    """Write the accuracy in the slices of each split; only a header without metadata."""
    tables = {}
    for name, (data, rows) in splits.items():
        found, left_out = slices.find_slices(WORKSPACE.metadata(rows))
        hits = probabilities[name].argmax(axis=1) == data.labels
        tables[name] = slices.measure(found, hits, data.groups)
        for line in left_out:
            print(f"{model}, {name}: {line}")
    write_by_split(WORKSPACE.evaluated(model).slices, tables)


def write_by_split(path: Path, tables: dict[str, pd.DataFrame]) -> None:
    with replacing(path) as temporary:
        pd.concat(tables, names=["split"]).droplevel(1).to_csv(temporary)


def answer_sets_worth(
    model: str, splits: dict[str, Dataset], probabilities: dict[str, np.ndarray], coverage: float
) -> dict[str, Any]:
    temperature, truth = read_calibration(WORKSPACE.trained(model).calibration)
    if temperature == 1:
        why = confidence.TEMPERATURE_1
        print(f"warning: {model}: {why}; its probabilities may be too high or too low")
    if finding := confidence.too_few_rows(len(truth), coverage):
        print(f"warning: {finding}")
    limit = confidence.threshold(truth, coverage)
    found: dict[str, Any] = {"asked": coverage, "threshold": limit}
    for name, data in splits.items():
        sets = confidence.answer_sets(probabilities[name], limit)
        found[name] = confidence.measure(sets, data.labels, data.groups)._asdict()
    return found


def draw(
    model: str,
    matrices: dict[str, Matrix],
    mistakes: scores.Mistakes,
    heat: Heat,
    by_confidence: dict[str, pd.DataFrame],
    *,
    names: list[str],
    what: str,
) -> None:
    outputs = WORKSPACE.evaluated(model)
    order = confusion.clustered(np.sum([*matrices.values()], axis=0))  # the same in all pictures
    for split, matrix in matrices.items():
        title = f"{model}, {split}"
        shown: dict[str, Any] = {"names": names, "title": title, "order": order}
        save(matrix_plots.confusion_matrix(matrix, **shown), outputs.matrix_picture(split))
        save(matrix_plots.alluvial(matrix, **shown), outputs.alluvial(split))
    title = f"{model}, test: most confident mistakes\n{what}"
    save(images.mistakes(mistakes, heat, names=names, title=title), outputs.mistakes)
    metrics = outputs.read_metrics()
    panels = {
        f"{split}: calibration error {metrics[split]['ece']:.4f}": table
        for split, table in by_confidence.items()
    }
    title = f"{model}: how often it is right, by its confidence"
    save(plots.reliability(panels, title=title), outputs.reliability.with_suffix(".png"))


if __name__ == "__main__":
    run_stage(main)
