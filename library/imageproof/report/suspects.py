"""The command `suspects`: labels that are probably wrong, as a table to correct and as a page."""

from pathlib import Path

import numpy as np
import pandas as pd

from imageproof.artifacts import WORKSPACE
from imageproof.base.dataset import Dataset, Images, Probabilities, Rows
from imageproof.base.errors import DataError
from imageproof.base.files import replacing, scratch, write_text
from imageproof.base.naming import project_name
from imageproof.data import packed
from imageproof.judge.suspects import Ask, folds_of, out_of_fold, suspects
from imageproof.pages.templates import templates
from imageproof.project import Project

SHOWN = 200  # pictures on the page
LEAST = 50.0  # % of the labels that a model must agree with, to doubt others
TRUSTED = 80.0  # the same, to say how many are wrong: below, most that it doubts are right


def find_suspects(ask: Ask, model: str, project: Project, *, folds: int, out: Path) -> str:
    """Train the model `folds` times by `ask`; write suspicious rows as CSV, and a page beside it.

    Prints a line per fold. Returns a sentence: how many labels are wrong, and how many listed. A
    DataError if the model agrees with so few labels that it cannot judge them.
    """
    images, rows = packed.load(WORKSPACE.pack)
    labels, classes = rows["label"].to_numpy(), project.data.classes
    if rows["fault"].notna().any() or not 0 <= labels.min() <= labels.max() < classes:
        said = f"has pictures that cannot be read, or labels outside 0…{classes - 1}"
        raise DataError(f"{WORKSPACE.pack}: {said}; `{project_name()} run validate` names them")
    fold = folds_of(labels, rows["hash"].tolist(), folds=folds, seed=project.seed)
    probabilities = _judged(Dataset(images, labels), fold, ask, model, classes=classes)
    found, count = suspects(labels, probabilities)
    agree = 100 * float(np.mean(probabilities.argmax(axis=1) == labels))
    said = f"{model} agrees with {agree:.1f} % of {len(labels):,} labels: {estimate(agree, count)}"
    said = f"{said}; {len(found):,} are doubtful"
    names = np.array(project.data.class_names)
    table = rows.iloc[found["row"]][["file", "name", "part"]].assign(
        label=names[labels[found["row"]]],
        suggested=names[found["suggested"]],
        quality=found["quality"].to_numpy().round(6),
        hash=packed.load_hashes(WORKSPACE.pack).iloc[found["row"]],
        corrected="",
    )
    with replacing(out) as temporary:
        table.to_csv(temporary, index=False)
    page = render(said, table, images[found["row"][:SHOWN]], source=out.name)
    write_text(out.with_suffix(".html"), page)
    return said


def estimate(agree: float, count: int) -> str:
    """How many labels are wrong by a model that agrees with so many % of them, if it can tell."""
    if agree < TRUSTED:
        return f"too few to say how many are wrong ({TRUSTED:g} % are needed)"
    return f"about {count:,} are wrong"


def _judged(data: Dataset, fold: Rows, ask: Ask, model: str, *, classes: int) -> Probabilities:
    """What a model says of each row that it was not trained on."""
    probabilities, folds = np.empty((len(data), classes), np.float32), int(fold.max()) + 1
    with scratch(WORKSPACE.pack.parent) as folder:
        for number, (own, answers) in enumerate(out_of_fold(data, fold, ask, folder=folder), 1):
            probabilities[own] = answers
            agree = 100 * np.mean(answers.argmax(axis=1) == data.labels[own])
            said = f"{model} agrees with {agree:.2f} % of {len(own):,} labels"
            print(f"fold {number}/{folds}: {said}", flush=True)
            if agree < LEAST:
                said = f"{model} agrees with {agree:.1f} % of the labels, too few to judge by"
                mend = f"raise the epochs of train.{model} in params.yaml, or --model names another"
                raise DataError(f"{said}: {mend}")
    return probabilities


def render(said: str, table: pd.DataFrame, images: Images, *, source: str) -> str:
    """The page with the images (n, …) of the first rows of the table, which is in `source`."""
    shown = [*zip(table.itertuples(index=False), images, strict=False)]
    template = templates("imageproof.report").get_template("suspects.html.j2")
    return template.render(said=said, shown=shown, count=len(table), source=source)
