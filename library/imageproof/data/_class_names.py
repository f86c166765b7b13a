"""The names of classes in the data, beside those in params.yaml."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from imageproof.base._class_names import differ_in_case
from imageproof.base._naming import adapt_hint
from imageproof.base.errors import DataError
from imageproof.base.text import first_names


def in_order(names: Sequence[str]) -> list[str]:
    """Names of classes, sorted; as numbers if they are such."""
    return sorted(names, key=int if all(name.isdecimal() for name in names) else None)


def names_of_labels(labels: Iterable[int], names: Sequence[str]) -> list[str]:
    """The class of each label by name; a label that is none stays a number."""
    classes = dict(enumerate(names))
    return [classes.get(label, str(label)) for label in labels]


def check_names(
    folder: Path,
    names: list[str],
    classes: int,
    param: list[str] | None,
) -> None:
    """Raise a DataError if the names in the data contradict `data.classes` or `.class_names`."""
    listed = {*(param or [])}
    alike = differ_in_case(listed | {*names})
    if not {*alike} <= listed:
        raise DataError(
            f"{folder}: {first_names(alike)} differ only in case; "
            "spell each in one way, or list both in data.class_names"
        )

    first = first_names(names)
    if len(names) != classes:
        raise DataError(
            f"{folder}: {len(names)} classes ({first}), data.classes is {classes}; {adapt_hint()}"
        )

    strangers = sorted(listed - {*names})
    if 0 < len(strangers) < len(names):
        raise DataError(
            f"{folder}: {first}; no {', '.join(strangers)} of data.class_names; "
            f"name all classes as there, or none; {adapt_hint()}"
        )
