"""The command `crossval`: how good recipes are on images that they have not learnt from.

Each fold trains anew, and chooses anew what a training chooses. That judges a recipe and no model,
so the gate does not ask for it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import NamedTuple

import mlflow
import numpy as np
import pandas as pd

from imageproof.artifacts import WORKSPACE
from imageproof.base._connected import check_folds, divided, together
from imageproof.base._dataset import SPLITS, Dataset, Labels, Probabilities, Rows
from imageproof.base.errors import DataError
from imageproof.data import packed
from imageproof.dvc import run_tags
from imageproof.dvc.params_yaml import PATH
from imageproof.judge._comparison import is_noise, paired_test
from imageproof.judge._groups import accuracy
from imageproof.judge.suspects import Ask
from imageproof.mlflow import _runs
from imageproof.project import Project

QUARTERS = 4
WORST = 10  # pictures that are printed; the table in MLflow has all


class Sample(NamedTuple):
    """All images but the hold-out. The groups of its data keep copies in one fold, too."""

    data: Dataset
    rows: Rows  # of the packed images
    groups: Rows | None  # those of split.group, by which intervals and tests count
    share: float  # of the images to learn from: validation


def read_sample(classes: int) -> Sample:
    """The images of the splits; a DataError if there are none yet."""
    splits = {
        name: WORKSPACE.read_split(name, classes=classes) for name in SPLITS if name != "holdout"
    }
    numbers = np.concatenate([split.rows for split in splits.values()])
    order = np.argsort(numbers)
    parts = [split.data for split in splits.values()]
    groups = [part.groups for part in parts if part.groups is not None]
    data = Dataset(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate(groups) if groups else None,
    ).take(order)
    validation = len(splits["validation"].rows)
    share = validation / (validation + len(splits["train"].rows))
    stratified = Dataset(data.images, data.labels, together(data))
    return Sample(stratified, numbers[order], data.groups, share)


class Fold(NamedTuple):
    """Numbers of rows: those that train, those by which the training chooses, and the tested."""

    train: Rows
    validation: Rows
    test: Rows


def would_more_help(
    all_images: Labels,
    three_quarters: Labels,
    labels: Labels,
    groups: Rows | None,
) -> str:
    """What the last quarter of the images brought, in words, by the classes predicted with each."""
    change = np.equal(all_images, labels).astype(int) - np.equal(three_quarters, labels)
    points = 100 * change.mean()
    sentence = f"the last quarter of the images brought {points:+.2f} points"
    if is_noise(*paired_test(change, groups)):
        return f"{sentence}, which may be chance: more of the kind may not help"
    return f"{sentence}: more images will {'probably' if points > 0 else 'hardly'} help"


@dataclass(frozen=True, kw_only=True)
class CrossValidation:
    """A recipe on the folds of a sample."""

    model: str
    ask: Ask
    sample: Sample
    folds: int
    project: Project

    def run(self, *, curve: bool) -> None:
        """Train on each fold; print how good the recipe is, and log it. `curve`: on fewer, too."""
        check_folds(self.sample.data, self.project.class_names, self.folds)
        for quarters in range(1 if curve else QUARTERS, QUARTERS + 1):
            self._check_classes(quarters)
        self._check_names()
        tags = run_tags.tags(stage=f"crossval@{self.model}", split=WORKSPACE.split("train"))
        with _runs.active_run(
            self.model,
            experiment=self.project.part("crossval"),
            description=f"The recipe of `{self.model}`, on all images but the hold-out.",
            params={"model": self.model, "folds": self.folds, "images": len(self.sample.data)},
            tags=tags,
        ):
            mlflow.log_text(PATH.read_text("utf-8"), _runs.PARAMS_FILE)
            probabilities = self._predict(QUARTERS)
            self._log_accuracy(probabilities)
            self._log_worst(probabilities)
            if curve:
                self._log_curve(probabilities)

    def folds_of(self, quarters: int) -> Iterator[Fold]:
        """The folds, with so many quarters of the images to learn from.

        Rows of one of the data's groups are in one part. The tested rows do not depend on
        `quarters`.
        """
        labels = self.sample.data.labels
        groups = self.sample.data.groups
        seed = self.project.seed
        assert groups is not None
        fold = divided(labels, groups, self.folds, seed=seed)
        for number in range(self.folds):
            learning = np.flatnonzero(fold != number)
            if quarters < QUARTERS:
                quarter = divided(labels[learning], groups[learning], QUARTERS, seed=seed)
                learning = learning[quarter < quarters]
            parts = max(2, round(1 / self.sample.share))
            part = divided(labels[learning], groups[learning], parts, seed=seed)
            yield Fold(learning[part > 0], learning[part == 0], np.flatnonzero(fold == number))

    def _check_classes(self, quarters: int) -> None:
        """A DataError if a fold has a class without an image to train on."""
        labels = self.sample.data.labels
        for fold in self.folds_of(quarters):
            absent = np.setdiff1d(labels, labels[fold.train])
            if absent.size:
                name = self.project.class_names[absent[0]]
                fault = f"of {25 * quarters} % of them a fold learns nothing"
                mend = "add images" + ", or leave out --curve" * (quarters < QUARTERS)
                raise DataError(f"class {name} has too few images: {fault}; {mend}")

    def _check_names(self) -> None:
        """A DataError if the packed images, which name those of the splits, are others by now."""
        hashes = packed.load_hashes(WORKSPACE.pack)
        for name in SPLITS:
            rows = WORKSPACE.read_split(name).rows
            if hashes.reindex(rows).tolist() != WORKSPACE.read_split_hashes(name):
                fault = "has other images than were split"
                raise DataError(f"{WORKSPACE.pack}: {fault}; type `dvc repro split` before")

    def _predict(self, quarters: int) -> Probabilities:
        """What is said of each image by a training without its fold, on so many quarters."""
        data = self.sample.data
        probabilities = np.empty((len(data), len(self.project.class_names)), np.float32)
        for number, fold in enumerate(self.folds_of(quarters), 1):
            start = perf_counter()
            train, validation, test = (data.take(rows) for rows in fold)
            probabilities[fold.test] = self.ask(train, test, validation)
            hits = probabilities[fold.test].argmax(axis=1) == test.labels
            seconds = perf_counter() - start
            learning = len(train) + len(validation)
            line = f"{100 * hits.mean():.2f} % of {len(test):,} right, {learning:,} learnt from"
            print(f"{self.model} fold {number}/{self.folds}: {line}, {seconds:.0f} s", flush=True)
            mlflow.log_metric(f"fold_accuracy_at_{25 * quarters}", hits.mean(), step=number)
        return probabilities

    def _log_accuracy(self, probabilities: Probabilities) -> None:
        hits = probabilities.argmax(axis=1) == self.sample.data.labels
        figures = accuracy(hits, self.sample.groups)
        mlflow.log_metrics(figures)
        share, lower, upper = (f"{100 * value:.2f}" for value in figures.values())
        interval = f"approximate 95 % interval {lower} to {upper} %"
        print(f"{self.model}: {share} % of {len(hits):,} images right; {interval}")

    def _log_worst(self, probabilities: Probabilities) -> None:
        """Print the images whose label is least probable, and log a table of all."""
        labels = self.sample.data.labels
        names = np.array(self.project.class_names)
        kind, images = WORKSPACE.names_of(self.sample.rows)
        table = pd.DataFrame(
            {
                "image": images,
                "label": names[labels],
                "answer": names[probabilities.argmax(axis=1)],
                "probability": probabilities[np.arange(len(labels)), labels],
            }
        ).sort_values("probability", kind="stable")
        mlflow.log_text(table.to_csv(index=False), "predictions.csv")
        print(f"{self.model}: the worst pictures ({kind}):")
        for image, label, answer, probability in table[:WORST].itertuples(index=False):
            print(f"  {image}: is {label}, called {answer}; {label} got {probability:.4f}")

    def _log_curve(self, probabilities: Probabilities) -> None:
        labels = self.sample.data.labels
        answers = {n: self._predict(n).argmax(axis=1) for n in range(1, QUARTERS)}
        answers[QUARTERS] = probabilities.argmax(axis=1)
        points = []
        for quarters, predicted in answers.items():
            share = float((predicted == labels).mean())
            mlflow.log_metric("curve_accuracy", share, step=25 * quarters)
            points.append(f"{25 * quarters} %: {100 * share:.2f} %")
        print(f"{self.model}: accuracy by share of the images: {', '.join(points)}")
        *_, fewer, most = answers.values()
        print(f"{self.model}: {would_more_help(most, fewer, labels, self.sample.groups)}")
