"""A reader finds the old output or the new one, never half of one."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers import finding

from imageproof.base.errors import DataError
from imageproof.base.files import read_json, replacing, write_json, write_text


def test_replacing_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a/out.npz"
    write_text(path, "old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert (temporary.parent, temporary.suffix) == (path.parent, ".npz")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_interrupted_write_leaves_the_old(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "out.npz"
    path.write_text("old")

    def interrupted() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_next_write_deletes_what_a_killed_one_left(tmp_path: Path) -> None:
    path = tmp_path / "out[1].npz"
    killed = f"""
import os, signal
from imageproof.base.files import *
with replacing(Path({str(path)!r})) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", killed]).returncode == -signal.SIGKILL
    write_text(path, "whole")
    assert [*tmp_path.iterdir()] == [path]
    assert path.read_text() == "whole"


def test_a_link_into_dvcs_cache_is_replaced_and_the_cache_left_alone(tmp_path: Path) -> None:
    cached = tmp_path / "cached"
    cached.write_text("old")
    (tmp_path / "out.txt").symlink_to(cached)
    write_text(tmp_path / "out.txt", "new")
    assert cached.read_text() == "old"
    assert (tmp_path / "out.txt").read_text() == "new"


def test_json_is_the_same_bytes_for_the_same_value(tmp_path: Path) -> None:
    value = {"b": 0.1, "a": ["ü", 1, None, True]}
    write_json(tmp_path / "one.json", value)
    write_json(tmp_path / "two.json", json.loads(json.dumps(value)))
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    assert read_json(tmp_path / "one.json", dict[str, Any]) == value
    assert "ü" in (tmp_path / "one.json").read_text("utf-8")


def test_json_holds_no_nan_and_keeps_the_old_file(tmp_path: Path) -> None:
    write_json(tmp_path / "out.json", 1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "out.json", float("nan"))
    assert read_json(tmp_path / "out.json", int) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "not found; `dvc repro` makes it"),
        (b'{"a": 1', "not as a stage writes it ("),
        (b"\xff\xfe{}", "not as a stage writes it ("),
        (b"[" * 3000 + b"]" * 3000, "not as a stage writes it ("),
        (b'{"loss": "x"}', "not as a stage writes it (loss: Input should be a valid number"),
        (b'{"a": 1}', "holds no loss; `dvc repro -f` makes it anew"),
    ],
)
def test_a_damaged_output_is_one_line(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "metrics.json"
    if content is not None:
        path.write_bytes(content)
    line = finding(DataError, lambda: read_json(path, dict[str, float], keys=["loss"]))
    assert line.startswith(f"{path}: {said}")
