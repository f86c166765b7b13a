"""Label Studio's files: the tasks and the labelling interface to import, and what it exports."""

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import quoteattr

from pydantic import AliasChoices, AliasPath, BaseModel, Field, TypeAdapter

from imageproof.base._class_names import spelled
from imageproof.base._dataset import Images
from imageproof.base._naming import project_name
from imageproof.base.errors import DataError
from imageproof.base.files import check_size, parsing, write_json, write_text
from imageproof.base.text import first_names
from imageproof.pages._templates import data_uri
from imageproof.pictures._reading import read_picture

CONTROL = "label"  # the name of the choices in the labelling interface
SHOWN_SIDE = 512  # pixels of a picture that a task carries
MAX_BYTES = 300_000_000  # of an export; Label Studio imports 250 MB
# a number, or a user with an email
ANNOTATOR = AliasChoices(AliasPath("completed_by", "email"), "completed_by")
DIGEST = re.compile("[0-9a-f]{32}")


class TaskData(BaseModel, frozen=True):
    """What a task says of its picture: the project, and the fingerprint of `packed.load_hashes`.

    `file` is a path in the folder of pictures; or, with `part`, the name of a packed image.
    """

    project: str = ""
    file: str = ""
    hash: str = ""
    part: str = ""
    only_train: str = ""


class Label(NamedTuple):
    """The classes that people gave to a picture: several if they disagree, none if it has no label.

    `annotator` names all of them, `labelled_at` is when the last of them answered.
    """

    picture: TaskData
    classes: list[str]
    annotator: str
    labelled_at: str


def task(
    picture: Path | Images, model: str, predicted: str, score: float, **data: str
) -> dict[str, Any]:
    """A task with a picture within it: Label Studio needs no address to show it."""
    result = {
        "from_name": CONTROL,
        "to_name": "image",
        "type": "choices",
        "value": {"choices": [predicted]},
    }
    answer = {"model_version": model, "score": score, "result": [result]}
    form = "png"
    if isinstance(picture, Path):
        picture, _ = read_picture(picture, shape=(SHOWN_SIDE, SHOWN_SIDE, 3), fit="pad")
        form = "jpeg"
    texts = {"image": data_uri(picture, form), "project": project_name(), **data}
    return {"data": texts, "predictions": [answer]}


def write_tasks(
    path: Path,
    tasks: Sequence[dict[str, Any]],
    names: Sequence[str],
) -> None:
    """Write the tasks, and beside them the labelling interface that offers these classes."""
    choices = "".join(f"    <Choice value={quoteattr(name)}/>\n" for name in names)
    interface = f"""<View>
  <Image name="image" value="$image"/>
  <Choices name="{CONTROL}" toName="image" choice="single" showInline="true">
{choices}  </Choices>
</View>
"""
    write_text(path.with_suffix(".xml"), interface)
    write_json(path, tasks)


class _Result(BaseModel):
    choices: list[str] = Field([], validation_alias=AliasPath("value", "choices"))


class _Annotation(BaseModel):
    annotator: int | str = Field(validation_alias=ANNOTATOR)
    was_cancelled: bool
    result: list[_Result]
    updated_at: datetime


class _Task(BaseModel):
    id: int
    data: TaskData
    annotations: list[_Annotation]

    def votes(self) -> list[tuple[str, _Annotation]]:
        """A class and who named it, for each choice; of annotations that were not skipped."""
        return [
            (spelled(choice), annotation)
            for annotation in self.annotations
            if not annotation.was_cancelled
            for result in annotation.result
            for choice in result.choices
        ]


def read_export(path: Path, names: Sequence[str]) -> list[Label]:
    """An export of tasks that `write_tasks` wrote, labelled with classes of these `names`.

    A DataError if it is no such file, or larger than MAX_BYTES. It has a finding for each task of
    another project, of a path that leads elsewhere, or with another label.
    """
    with parsing("Label Studio's export in the format JSON", path):
        check_size(path, MAX_BYTES)
        tasks = TypeAdapter(list[_Task]).validate_json(path.read_bytes())
    faults = [(task.id, _fault(task, names)) for task in tasks]
    findings = [f"{path}: task {number}: {fault}" for number, fault in faults if fault]
    if findings:
        raise DataError(*findings)

    ballots: dict[tuple[str, ...], list[_Task]] = {}
    for task in tasks:  # one picture may be in several: chosen in one, drawn at random in another
        picture = task.data
        name = (picture.part, picture.file) if picture.part else ()
        ballots.setdefault((picture.hash, *name), []).append(task)
    labels = []
    for same in ballots.values():
        votes = [vote for task in same for vote in task.votes()]
        picture = max((task.data for task in same), key=lambda data: data.only_train)
        classes = sorted({label for label, _ in votes})
        annotators = sorted({str(annotation.annotator) for _, annotation in votes})
        times = [annotation.updated_at.isoformat(timespec="seconds") for _, annotation in votes]
        labels.append(Label(picture, classes, ", ".join(annotators), max(times, default="")))
    return labels


def _fault(task: _Task, names: Sequence[str]) -> str:
    """Why a task is none that `write_tasks` wrote, or has a label that is no class."""
    picture = task.data
    if picture.project != project_name():
        return f"is of the project {picture.project!r}; tasks of {project_name()} are allowed"
    if not DIGEST.fullmatch(picture.hash) or not picture.file.isprintable():
        return "has not the data of a picture; export the tasks as they were imported"
    if picture.file.startswith("/") or ".." in picture.file.split("/"):
        return f"{picture.file}: leads out of the folder of pictures"
    strangers = sorted({label for label, _ in task.votes()} - {*names})
    return f"{first_names(strangers)}: no class; {first_names(names)} are" if strangers else ""
