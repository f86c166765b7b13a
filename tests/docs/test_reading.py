"""The page «The path for a reader» names files that are read in an evening."""

import re

from support import REPOSITORY

MOST_LINES = 1500


def test_path_is_short():
    page = (REPOSITORY / "docs/reading.md").read_text("utf-8")
    names = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    assert len(names) == len({*names}) == 12
    assert sum(not name.startswith("library/") for name in names) >= 7
    lines = sum((REPOSITORY / name).read_text("utf-8").count("\n") for name in names)
    assert lines <= MOST_LINES
