"""The figures of docs/benchmarks.md are those that were measured."""

import json
from pathlib import Path

from benchmarks.parts import page

ROOT = Path(__file__).parents[1]


def test_the_page_shows_what_the_json_holds():
    result = json.loads((ROOT / "docs/benchmarks.json").read_text("utf-8"))
    assert page(result) == (ROOT / "docs/benchmarks.md").read_text("utf-8")
