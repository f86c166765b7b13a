"""A reader finds the old output or the new one, never half of one."""

from contextlib import suppress
from typing import Any

import pytest
from helpers import finding

from imageproof.base.errors import DataError
from imageproof.base.files import read_json, replacing, write_json, write_text


def test_a_file_is_replaced_at_once(tmp_path):
    path = tmp_path / "a[1]/out.npz"
    cached = tmp_path / "cached"  # by DVC
    write_text(cached, "old")
    path.parent.mkdir()
    path.symlink_to(cached)
    killed = replacing(path)  # whose end is never reached
    killed.__enter__().write_text("half")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert temporary.suffix == ".npz"
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [*path.parent.iterdir()] == [path]
    assert cached.read_text() == "old"


def test_an_interrupted_write_leaves_the_old(tmp_path):
    path = tmp_path / "out.npz"
    path.write_text("old")
    with suppress(KeyboardInterrupt), replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert [*tmp_path.iterdir()] == [path]


def test_json_is_read_as_it_was_written_and_has_no_nan(tmp_path):
    path = tmp_path / "out.json"
    value = {"b": 0.1, "a": ["ü", 1, None, True]}
    write_json(path, value)
    assert "ü" in path.read_text("utf-8")
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, float("nan"))
    assert read_json(path, dict[str, Any]) == value


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "not found; `dvc repro` makes it"),
        (b"[" * 3000 + b"]" * 3000, "not as a stage writes it ("),
        (b'{"loss": "x"}', "not as a stage writes it (loss: Input should be a valid number"),
    ],
)
def test_a_damaged_output_is_one_line(tmp_path, content, reason):
    path = tmp_path / "metrics.json"
    if content is not None:
        path.write_bytes(content)
    assert finding(DataError, read_json, path, dict[str, float]).startswith(f"{path}: {reason}")
