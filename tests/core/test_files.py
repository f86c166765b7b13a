"""A reader finds the old output or the new one, never half of one."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import finding, python

from digits.core.dataset import load_split
from digits.core.errors import DataError
from digits.core.files import read_json, replacing, scratch, write_json, write_text
from digits.data.readers.files import content_of
from digits.evaluation.confusion_csv import read_matrix
from digits.scoring.inputs import open_input
from digits.scoring.pictures import read_pictures


class TestReplacing:
    def test_the_new_takes_the_place_of_the_old(self, tmp_path: Path) -> None:
        path = tmp_path / "out.npz"
        path.write_text("old")
        with replacing(path) as temporary:
            temporary.write_text("new")
            assert (temporary.parent, temporary.suffix) == (tmp_path, ".npz")
            assert path.read_text() == "old"
        assert path.read_text() == "new"
        assert list(tmp_path.iterdir()) == [path]

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
    def test_an_interrupted_write_leaves_the_old_and_no_rest(
        self, tmp_path: Path, error: type[BaseException]
    ) -> None:
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

    def test_missing_parents_are_made(self, tmp_path: Path) -> None:
        with replacing(tmp_path / "a/b/out.npz") as temporary:
            temporary.write_text("new")
        assert (tmp_path / "a/b/out.npz").read_text() == "new"


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


def test_a_missing_output_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    assert finding(DataError, lambda: read_json(path, dict[str, Any])) == (
        f"{path}: not found; `dvc repro` makes it"
    )


@pytest.mark.parametrize(
    "content",
    [b"", b'{"a": 1', b"\xff\xfe{}", b"[" * 3000 + b"]" * 3000],
)
def test_a_damaged_output_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "metrics.json"
    path.write_bytes(content)
    line = finding(DataError, lambda: read_json(path, dict[str, Any]))
    assert re.fullmatch(rf"{path}: not as a stage writes it \(.*\); `dvc repro -f` .*", line)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"a": 1}', "holds no loss"),
        ("[]", "not as a stage writes it (Input should be an object)"),
        ('{"loss": "x"}', "not as a stage writes it (loss: Input should be a valid number"),
    ],
)
def test_an_output_that_holds_something_else_is_one_line(
    tmp_path: Path, content: str, said: str
) -> None:
    path = tmp_path / "metrics.json"
    path.write_text(content)
    line = finding(DataError, lambda: read_json(path, dict[str, float], keys=["loss"]))
    assert line.startswith(f"{path}: {said}")
    assert line.endswith("; `dvc repro -f` makes it anew")


@pytest.mark.parametrize("kind", ["pipe", "device"])
@pytest.mark.parametrize(
    "read",
    [
        lambda path: read_json(path, int),
        load_split,
        read_matrix,
        lambda path: read_pictures([path], shape=(2, 2), picture="plain"),
        content_of,
        lambda path: open_input(path, shape=(2, 2)),
    ],
    ids=["JSON", "split", "matrix", "picture", "data", "scoring"],
)
def test_what_is_no_regular_file_is_refused_and_not_waited_for(
    tmp_path: Path, read: Callable[[Path], object], kind: str
) -> None:
    path = tmp_path / "x"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    assert finding(DataError, lambda: read(path)) == (
        f"{path}: is no regular file; write what it gives to a file first"
    )


def test_code_in_a_temporary_folder_can_be_imported_as_reproduce_does() -> None:
    with scratch() as folder:
        (folder / "probe.py").write_text("print(__file__)", "utf-8")
        done = python("-c", "import probe", env=os.environ | {"PYTHONPATH": str(folder)})
    assert done.stdout.startswith(str(folder)), done.stderr
