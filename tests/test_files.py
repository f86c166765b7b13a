"""A reader finds the old output or the new one, never half of one."""

import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from support import finding

from digits.errors import DataError
from digits.files import read_json, replacing, replacing_folder, write_json, write_text

Replacing = Callable[[Path], AbstractContextManager[Path]]


def put(path: Path, text: str, *, folder: bool) -> None:
    file = path / "page.html" if folder else path
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)


def get(path: Path, *, folder: bool) -> str:
    return (path / "page.html" if folder else path).read_text()


@pytest.mark.parametrize(("writer", "folder"), [(replacing, False), (replacing_folder, True)])
class TestReplacing:
    def test_the_new_takes_the_place_of_the_old(
        self, tmp_path: Path, writer: Replacing, folder: bool
    ) -> None:
        put(tmp_path / "out.npz", "old", folder=folder)
        with writer(tmp_path / "out.npz") as temporary:
            put(temporary, "new", folder=folder)
            assert get(tmp_path / "out.npz", folder=folder) == "old"
        assert get(tmp_path / "out.npz", folder=folder) == "new"
        assert [path.name for path in tmp_path.iterdir()] == ["out.npz"]

    @pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
    def test_an_interrupted_write_leaves_the_old_and_no_rest(
        self, tmp_path: Path, writer: Replacing, folder: bool, error: type[BaseException]
    ) -> None:
        put(tmp_path / "out.npz", "old", folder=folder)

        def interrupted() -> None:
            with writer(tmp_path / "out.npz") as temporary:
                put(temporary, "half", folder=folder)
                raise error

        with pytest.raises(error):
            interrupted()
        assert get(tmp_path / "out.npz", folder=folder) == "old"
        assert [path.name for path in tmp_path.iterdir()] == ["out.npz"]

    def test_missing_parents_are_made(
        self, tmp_path: Path, writer: Replacing, folder: bool
    ) -> None:
        with writer(tmp_path / "a/b/out.npz") as temporary:
            put(temporary, "new", folder=folder)
        assert get(tmp_path / "a/b/out.npz", folder=folder) == "new"

    def test_the_temporary_name_lies_beside_and_keeps_the_suffix(
        self, tmp_path: Path, writer: Replacing, folder: bool
    ) -> None:
        with writer(tmp_path / "out.npz") as temporary:
            put(temporary, "new", folder=folder)
            assert temporary.parent == tmp_path
            assert temporary.suffix == ".npz"
            assert temporary != tmp_path / "out.npz"


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
    assert read_json(tmp_path / "one.json") == value
    assert "ü" in (tmp_path / "one.json").read_text("utf-8")


def test_json_holds_no_nan_and_keeps_the_old_file(tmp_path: Path) -> None:
    write_json(tmp_path / "out.json", 1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "out.json", float("nan"))
    assert read_json(tmp_path / "out.json") == 1


def test_a_missing_output_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    assert finding(DataError, lambda: read_json(path)) == (
        f"{path}: not found; `dvc repro` makes it"
    )


@pytest.mark.parametrize("content", [b"", b'{"a": 1', b"\xff\xfe{}", b"<html>"])
def test_a_damaged_output_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "metrics.json"
    path.write_bytes(content)
    line = finding(DataError, lambda: read_json(path))
    assert re.fullmatch(rf"{path}: not JSON \(.*\); `dvc repro -f` makes it anew", line)
