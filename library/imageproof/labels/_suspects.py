"""The command `suspects`: labels that are probably wrong, as a table to correct and as a page."""

from pathlib import Path
from typing import Any

import numpy as np

from imageproof.artifacts import WORKSPACE
from imageproof.base._connected import check_folds, divided
from imageproof.base._dataset import Dataset, Images, Labels, Probabilities
from imageproof.base._naming import project_name
from imageproof.base.errors import DataError
from imageproof.base.files import replacing, scratch, write_text
from imageproof.data import packed
from imageproof.judge.suspects import Ask, out_of_fold, suspects
from imageproof.labels._studio import task, write_tasks
from imageproof.pages._templates import templates
from imageproof.pictures._reading import is_picture
from imageproof.project import Project

SHOWN = 200  # pictures on the page
TASKS = 1000  # that carry a picture each
LEAST = 50.0  # % of the labels that a model must agree with, to doubt others
TRUSTED = 80.0  # the same, to say how many are wrong: below, most that it doubts are right


def find_suspects(
    ask: Ask,
    model: str,
    project: Project,
    *,
    folds: int,
    out: Path,
) -> str:
    """Train the model `folds` times by `ask`; write suspicious rows as CSV, and beside it a page,
    and the first TASKS as tasks of Label Studio.

    Prints a line per fold. Returns a sentence: how many labels are wrong, and how many listed. A
    DataError if the model agrees with so few labels that it cannot judge them.
    """
    images, rows = packed.load(WORKSPACE.pack)
    labels = rows["label"].to_numpy()
    names = np.array(project.class_names)
    if rows["fault"].notna().any() or not 0 <= labels.min() <= labels.max() < len(names):
        raise DataError(
            f"{WORKSPACE.pack}: has pictures that cannot be read, or labels outside "
            f"0…{len(names) - 1}; `{project_name()} run validate` names them"
        )
    data = Dataset(images, labels, groups=rows["hash"].to_numpy(np.int64))
    check_folds(data, project.class_names, folds)
    probabilities = _out_of_fold(data, folds, ask, model, project)
    doubtful, count = suspects(labels, probabilities)
    agreement = _agreement(probabilities, labels)
    sentence = f"{model} agrees with {agreement:.2f} % of {len(labels):,} labels: "
    sentence += f"{estimate(agreement, count)}; {len(doubtful):,} are doubtful"
    chosen = doubtful["row"]
    table = rows.iloc[chosen][["file", "name", "part"]].assign(
        label=names[labels[chosen]],
        suggested=names[doubtful["suggested"]],
        quality=doubtful["quality"].to_numpy().round(6),
        hash=packed.load_hashes(WORKSPACE.pack).iloc[chosen],
        corrected="",
    )
    with replacing(out) as temporary:
        table.to_csv(temporary, index=False)
    pairs = [*zip(table.itertuples(), images[chosen[:TASKS]], strict=False)]
    page = templates("imageproof.labels").get_template("suspects.html.j2")
    write_text(
        out.with_suffix(".html"),
        page.render(sentence=sentence, suspects=pairs[:SHOWN], count=len(table), source=out.name),
    )
    tasks = [_task(row, image, model) for row, image in pairs]
    write_tasks(out.with_suffix(".json"), tasks, names.tolist())
    return sentence


def _task(row: Any, image: Images, model: str) -> dict[str, Any]:
    """The score is the probability of all classes but the label."""
    path = Path("data", row.file)
    picture = path if is_picture(row.file) and path.is_file() else image
    data = {"file": row.name, "hash": row.hash, "part": row.part, "label": row.label}
    return task(picture, model, row.suggested, 1 - row.quality, **data)


def estimate(agreement: float, count: int) -> str:
    """How many labels are wrong by a model that agrees with so many % of them, if it can tell."""
    if agreement < TRUSTED:
        return f"too few to say how many are wrong ({TRUSTED:g} % are needed)"
    return f"about {count:,} are wrong"


def _agreement(probabilities: Probabilities, labels: Labels) -> float:
    return 100 * float(np.mean(probabilities.argmax(axis=1) == labels))


def _out_of_fold(
    data: Dataset,
    folds: int,
    ask: Ask,
    model: str,
    project: Project,
) -> Probabilities:
    """What a model says of each row that it was not trained on, nor on one of its group."""
    assert data.groups is not None
    fold = divided(data.labels, data.groups, folds, seed=project.seed)
    probabilities = np.empty((len(data), project.data.classes), np.float32)
    with scratch(WORKSPACE.pack.parent) as folder:
        for number, (rows, answers) in enumerate(out_of_fold(data, fold, ask, folder=folder), 1):
            probabilities[rows] = answers
            agreement = _agreement(answers, data.labels[rows])
            sentence = f"{model} agrees with {agreement:.2f} % of {len(rows):,} labels"
            print(f"fold {number}/{folds}: {sentence}", flush=True)
            if agreement < LEAST:
                fault = f"{model} agrees with {agreement:.1f} % of the labels, too few to judge by"
                mend = f"raise the epochs of train.{model}, if it has any, or --model names another"
                raise DataError(f"{fault}: {mend}")
    return probabilities
