"""What classes are called: one spelling of a name, and who decides it."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Annotated
from unicodedata import category, normalize

from pydantic import AfterValidator, Field

from imageproof.base.text import printable


def spelled(name: str) -> str:
    """A name in its one spelling: Unicode's form NFC, no invisible characters of the category Cf,
    no space around it, control characters escaped.
    """
    if not name.isascii():
        visible = (character for character in name if category(character) != "Cf")
        name = normalize("NFC", "".join(visible))
    return printable(name.strip())


def differ_in_case(names: Collection[str]) -> list[str]:
    """The names that are another one but for upper and lower case, side by side."""
    counts = Counter(map(str.casefold, names))
    alike = [name for name in names if counts[name.casefold()] > 1]
    return sorted(alike, key=lambda name: (name.casefold(), name))


def class_numbers(classes: int) -> list[str]:
    """The names of classes that have none: `0`, `1`, …"""
    return [*map(str, range(classes))]


def class_names(classes: int, names: Sequence[str] | None) -> list[str]:
    """One name per class: these, of params.yaml or of the data, else the numbers."""
    if not names or len(names) != classes:  # the data was packed with other params
        return class_numbers(classes)
    return [*names]


ClassName = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(spelled)]
