"""A project imports of the library only the faces that its README lists."""

import ast
import re
from collections import defaultdict
from importlib import import_module

import pytest
from support import REPOSITORY

MOST_PLACES = 12
MOST_NAMES = 70
MOST_OF_A_ROOM = 12
FOLDERS = ("src/digits", "flows", "examples/models")


def faces():
    """The names of each room, of the README's table."""
    page = (REPOSITORY / "library/README.md").read_text("utf-8")
    _, _, table = page.partition("## What a project imports")
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", table, re.MULTILINE)
    return {room: {*re.findall(r"`([\w.]+)`", names)} for room, names in rows}


def imported(path):
    """What a file imports of the library, by room."""
    names = defaultdict(set)
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        match node:
            case ast.ImportFrom(module=str(module)) if module.startswith("imageproof."):
                _, room, *rest = module.split(".")
                names[room] |= {".".join([*rest, alias.name]) for alias in node.names}
            case ast.Import():
                assert not any(alias.name.startswith("imageproof") for alias in node.names), path
    return names


def files():
    return [path for folder in FOLDERS for path in sorted((REPOSITORY / folder).rglob("*.py"))]


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_project_imports_faces_only(path):
    table = faces()
    for room, names in imported(path).items():
        assert names <= table.get(room, set()), f"imageproof.{room}"


def test_faces_are_few_and_used():
    table = faces()
    used = defaultdict(set)
    for path in files():
        for room, names in imported(path).items():
            used[room] |= names
    assert used == table
    assert len(table) <= MOST_PLACES
    assert sum(map(len, table.values())) <= MOST_NAMES
    assert all(len(names) <= MOST_OF_A_ROOM for names in table.values())


def test_faces_exist():
    folder = REPOSITORY / "library/imageproof"
    for room, names in faces().items():
        if (folder / room).is_dir() and room != "base":
            paths = [folder / room / f"{name.replace('.', '/')}.py" for name in names]
            assert [path for path in paths if not path.is_file()] == []
        else:
            module = import_module(f"imageproof.{room}")
            assert names <= {*vars(module)}
