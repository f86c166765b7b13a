"""A project imports of the library only the faces that its README lists."""

import ast
import re
from collections import Counter

from support import REPOSITORY

FOLDERS = ("src/digits", "flows", "examples/models")
LIBRARY = REPOSITORY / "library/imageproof"
# dvc.yaml and the commands of servers name them
BY_NAME = {"imageproof.outputs", "imageproof.system.guard"}


def faces():
    """The names in the README's table."""
    page = (REPOSITORY / "library/README.md").read_text("utf-8")
    _, _, table = page.partition("## What a project imports")
    for room, names in re.findall(r"^\| `(\w+)` \| ([^|]+) \|", table, re.MULTILINE):
        yield from (f"imageproof.{room}.{name}" for name in re.findall(r"`([\w.]+)`", names))


def imported():
    """What the project imports of the library."""
    paths = [path for folder in FOLDERS for path in (REPOSITORY / folder).rglob("*.py")]
    for node in (node for path in paths for node in ast.walk(ast.parse(path.read_text("utf-8")))):
        match node:
            case ast.ImportFrom(module=str(module)) if module.startswith("imageproof"):
                yield from (f"{module}.{alias.name}" for alias in node.names)
            case ast.Import():
                yield from (a.name for a in node.names if a.name.startswith("imageproof"))


def test_project_imports_faces_only_and_all_of_them():
    table = {*faces()}
    assert {*imported()} == table
    rooms = Counter(name.split(".")[1] for name in table)
    assert len(rooms) <= 12
    assert len(table) <= 70
    assert max(rooms.values()) <= 12


def test_other_modules_of_library_are_private():
    public = {*faces(), *BY_NAME}
    modules = [path.relative_to(LIBRARY) for path in LIBRARY.rglob("*.py")]
    for module in modules:
        name = f"imageproof.{'.'.join(module.with_suffix('').parts)}"
        is_face = any(face == name or face.startswith(f"{name}.") for face in public)
        assert is_face or module.name.startswith("_"), name
