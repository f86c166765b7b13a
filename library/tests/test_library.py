"""The library as a whole: no project's name in it, and which private parts of tools it uses."""

import re
from pathlib import Path
from pkgutil import resolve_name

import pytest

import imageproof

PACKAGE = Path(imageproof.__file__).parent
LIBRARY = Path(__file__).parents[1]
NAMED_TUPLE = {"_asdict", "_fields", "_make", "_replace"}
ROW = re.compile(r"^\| `([\w.]+)` \| [^|]+ \| `([\w/.]+)` \|$", re.MULTILINE)
README = (LIBRARY / "README.md").read_text("utf-8")
PARTS = dict(ROW.findall(README))


def test_no_project_is_named():
    name = re.compile("(?<!load_)digit" + "s|mni" + "st", re.IGNORECASE)
    suffixes = {".py", ".html", ".j2", ".css", ".md", ".json", ".toml", ".yaml", ""}
    files = {path for folder in (PACKAGE, LIBRARY) for path in folder.rglob("*")}
    texts = {
        path: path.read_text("utf-8")
        for path in files
        if path.is_file() and path.suffix in suffixes
    }
    assert len(texts) > 100
    assert {
        str(path): name.findall(text) for path, text in texts.items() if name.search(text)
    } == {}


@pytest.mark.slow
def test_private_parts_are_there():
    for part, test in PARTS.items():
        assert (LIBRARY / "tests" / test).is_file()
        if test == Path(__file__).name:  # no other of the library's tests uses it
            assert resolve_name(part) is not None


def test_private_parts_are_listed():
    paths = [*PACKAGE.rglob("*.py")]
    text = "\n".join(path.read_text("utf-8") for path in paths)
    own = NAMED_TUPLE | {path.stem for path in paths}
    for binding in (r"def (_\w+)", r"^(_\w+) = ", r"\.(_\w+)(?:: .*)? = "):
        own |= {*re.findall(binding, text, re.MULTILINE)}
    private = {*re.findall(r"\.(_[a-z]\w*)", text)} - own
    assert len(private) > 3
    assert [name for name in private if name not in README] == []
    assert [part for part in PARTS if part.rpartition(".")[2] not in text] == []
