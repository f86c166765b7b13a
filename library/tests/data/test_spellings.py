"""One name in several spellings is one name, and names that differ only in case are refused."""

import unicodedata
from pathlib import Path

import pytest
from helpers import finding, pack_warnings, put_pictures
from pydantic import ValidationError
from splits import split_params

from imageproof.base import DataParams
from imageproof.base.errors import DataError
from imageproof.data import packed

CAFE = "café"
NFD_CAFE = unicodedata.normalize("NFD", CAFE)
SPELLINGS = {
    "decomposed": NFD_CAFE,
    "zero-width space": "ca\u200bfé",
    "direction mark": f"\u200e{CAFE}",
    "spaces": f" {CAFE}\u00a0",
}
BOTH_NAMES = "spell each in one way, or list both in data.class_names"


pytestmark = pytest.mark.usefixtures("workspace")


def pack(names=None):
    """The label of each image, the names of the classes, and warnings."""
    image = {"size": "auto", "channels": "auto", "fit": "stretch"}
    params = DataParams(percent=100, classes=2, class_names=names, image=image)
    warnings = pack_warnings(params.class_names)
    out = Path("packed")
    labels = packed.load(out).rows["label"].tolist()
    return labels, packed.load_summary(out)["class_names"], warnings


@pytest.fixture
def pets(workspace):
    put_pictures(Path("data"), "cat/1.png", "dog/1.png")


def write_table(*rows):
    """A table of these labels and writers, one picture each."""
    folder = put_pictures(Path("data"), *(f"{n}.png" for n in range(len(rows))))
    lines = [f"{number}.png,{row}" for number, row in enumerate(rows)]
    (folder / "labels.csv").write_text("\n".join(["file,label,writer", *lines]), "utf-8")


def test_folder_of_a_mac_has_the_name_in_params():
    put_pictures(Path("data"), f"{NFD_CAFE} /1.png", "zoo/1.png")
    assert pack(["zoo", CAFE]) == ([1, 0], ["zoo", CAFE], [])
    assert pack()[1] == [CAFE, "zoo"]


def test_names_that_differ_only_in_case_need_both_class_names(pets):
    for names, alike in ((["Dog", "Cat"], "Cat, cat, Dog, …"), (["DOG ", "cat"], "DOG, dog")):
        assert finding(DataError, pack, names) == f"data: {alike} differ only in case; {BOTH_NAMES}"
    write_table("a,Ann", "A,Ann")
    assert finding(DataError, pack) == f"data: A, a differ only in case; {BOTH_NAMES}"
    assert pack(["a", "A"])[:2] == ([0, 1], ["a", "A"])


def test_new_names_are_printed_beside_those_they_replace(pets):
    message = "data: data.class_names gives new names: cat → Katze, dog → Hund"
    assert pack(["Katze", "Hund"]) == ([0, 1], ["Katze", "Hund"], [message])


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_label_and_writer_in_two_spellings_are_one(spelling):
    write_table(f"{CAFE},{CAFE}", f"{spelling},{spelling}", "zoo,Ann")
    assert pack()[:2] == ([0, 0, 1], [CAFE, "zoo"])
    assert packed.load(Path("packed")).rows["meta_writer"].tolist() == [CAFE, CAFE, "Ann"]


def test_column_of_groups_may_be_named_in_any_spelling():
    assert {split_params(group=name).group for name in SPELLINGS.values()} == {CAFE}
    with pytest.raises(ValidationError):
        split_params(group=" \u200b")


def test_control_characters_are_escaped():
    write_table("ca\x00t,Ann\x1b[2J", "dog,Bob")
    assert pack(["dog", "ca\x00t"]) == ([1, 0], ["dog", r"ca\u0000t"], [])
    writers = packed.load(Path("packed")).rows["meta_writer"]
    assert writers.tolist() == [r"Ann\u001b[2J", "Bob"]


def test_writers_may_differ_only_in_case_if_each_occurs_once():
    write_table("cat,3aB", "dog,3Ab")
    assert pack()[2] == []
    write_table("cat,Ann", "dog,ann ", "dog,Ann")
    message = "column writer: Ann, ann differ only in case; spell each in one way"
    assert finding(DataError, pack) == f"data/labels.csv: {message}"
