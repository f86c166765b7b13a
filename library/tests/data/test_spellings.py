"""One name in several spellings is one name, and names that differ only in case are refused."""

import unicodedata
from pathlib import Path
from typing import Any

import pytest
from helpers import finding, put_pictures

from imageproof.base.dataset import DataParams, ImageParams
from imageproof.base.errors import DataError
from imageproof.data import packed, packing

CAFE, NFD_CAFE = "café", unicodedata.normalize("NFD", "café")
WRITERS = {
    "as it is": CAFE,
    "decomposed": NFD_CAFE,
    "zero-width space": "ca\u200bfé",
    "direction mark": f"\u200e{CAFE}",
    "spaces": f" {CAFE}\u00a0",
}
FORM: dict[str, Any] = {"size": "auto", "channels": "auto", "fit": "stretch"}


def write_table(folder: Path, *rows: str) -> None:
    """A table of these labels and writers, one picture each."""
    put_pictures(folder, *(f"{number}.png" for number in range(len(rows))))
    lines = [f"{number}.png,{row}" for number, row in enumerate(rows)]
    (folder / "labels.csv").write_text("\n".join(["file,label,writer", *lines]), "utf-8")


def pack(folder: Path, names: list[str] | None = None) -> tuple[list[int], list[str], list[str]]:
    """The label of each image, the names of the classes, and warnings."""
    data = DataParams(percent=100, classes=2, class_names=names, image=ImageParams(**FORM))
    out = folder / "packed"
    _, _, warnings = packing.pack(folder / "data", out, data.image, 2, data.class_names)
    labels = packed.load(out).rows["label"].tolist()
    return labels, packed.load_summary(out)["class_names"], [*warnings]


@pytest.mark.parametrize(
    "names", [["dog", "cat"], ["dog ", " cat"], ["dog\u200b", "\ufeffcat"], ["dog\n", "cat\u2060"]]
)
def test_class_names_order_folders_however_spelt(tmp_path: Path, names: list[str]) -> None:
    put_pictures(tmp_path / "data", "cat/1.png", "dog/1.png")
    assert pack(tmp_path, names) == ([1, 0], ["dog", "cat"], [])


@pytest.mark.parametrize("names", [["zoo", CAFE], ["zoo", NFD_CAFE]])
@pytest.mark.parametrize("folder", [CAFE, NFD_CAFE, f"{CAFE} "])
def test_folder_of_a_mac_has_the_name_in_params(
    tmp_path: Path, folder: str, names: list[str]
) -> None:
    put_pictures(tmp_path / "data", f"{folder}/1.png", "zoo/1.png")
    assert pack(tmp_path, names) == ([1, 0], ["zoo", CAFE], [])
    assert pack(tmp_path)[1] == [CAFE, "zoo"]


@pytest.mark.parametrize(
    ("names", "alike"),
    [
        (["Dog", "Cat"], "Cat, cat, Dog, dog"),
        (["Cat", "Dog"], "Cat, cat, Dog, dog"),
        (["DOG ", "cat"], "DOG, dog"),
    ],
)
def test_class_names_in_another_case_are_refused(
    tmp_path: Path, names: list[str], alike: str
) -> None:
    put_pictures(tmp_path / "data", "cat/1.png", "dog/1.png")
    line = finding(DataError, lambda: pack(tmp_path, names))
    mend = "spell each in one way, or list both in data.class_names"
    assert line == f"{tmp_path}/data: {alike} differ only in case; {mend}"


def test_new_names_are_printed_beside_those_they_replace(tmp_path: Path) -> None:
    put_pictures(tmp_path / "data", "cat/1.png", "dog/1.png")
    message = f"{tmp_path}/data: data.class_names gives new names: cat → Katze, dog → Hund"
    assert pack(tmp_path, ["Katze", "Hund"]) == ([0, 1], ["Katze", "Hund"], [message])


def test_two_classes_in_two_cases_need_both_class_names(tmp_path: Path) -> None:
    write_table(tmp_path / "data", "a,Ann", "A,Ann")
    line = finding(DataError, lambda: pack(tmp_path))
    assert line.startswith(f"{tmp_path}/data: A, a differ only in case; ")
    assert pack(tmp_path, ["a", "A"]) == ([0, 1], ["a", "A"], [])


@pytest.mark.parametrize("label", WRITERS.values(), ids=WRITERS)
def test_label_in_two_spellings_is_one_class(tmp_path: Path, label: str) -> None:
    write_table(tmp_path / "data", f"{CAFE},Ann", f"{label},Ann", "zoo,Ann")
    assert pack(tmp_path)[:2] == ([0, 0, 1], [CAFE, "zoo"])


def test_label_of_nothing_visible_is_none(tmp_path: Path) -> None:
    write_table(tmp_path / "data", "cat,Ann", "\u200b ,Ann")
    assert finding(DataError, lambda: pack(tmp_path)).endswith("labels.csv:3: 1.png: has no label")


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_writer_in_two_spellings_is_one_group(tmp_path: Path, writer: str) -> None:
    write_table(tmp_path / "data", f"cat,{CAFE}", f"dog,{writer}", "dog,Ann")
    pack(tmp_path)
    assert packed.load(tmp_path / "packed").rows["meta_writer"].tolist() == [CAFE, CAFE, "Ann"]


def test_writers_that_differ_only_in_case_are_refused(tmp_path: Path) -> None:
    write_table(tmp_path / "data", "cat,Ann", "dog,ann ", "dog,Ann")
    line = finding(DataError, lambda: pack(tmp_path))
    message = "column writer: Ann, ann differ only in case; spell each in one way"
    assert line == f"{tmp_path}/data/labels.csv: {message}"


def test_numbers_of_pictures_may_differ_only_in_case(tmp_path: Path) -> None:
    write_table(tmp_path / "data", "cat,3aB", "dog,3Ab")
    assert pack(tmp_path)[2] == []
