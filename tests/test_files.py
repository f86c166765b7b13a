"""A reader finds the old output or the new one, never half of one."""

import json
import re
from pathlib import Path

import pytest
from support import finding

from digits.errors import DataError
from digits.files import read_json, replacing, write_json, write_text


class TestReplacing:
    def test_the_new_takes_the_place_of_the_old(self, tmp_path: Path) -> None:
        path = tmp_path / "out.npz"
        path.write_text("old")
        with replacing(path) as temporary:
            temporary.write_text("new")
            assert path.read_text() == "old"
        assert path.read_text() == "new"
        assert list(tmp_path.iterdir()) == [path]

    @pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
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

    def test_the_temporary_name_lies_beside_and_keeps_the_suffix(self, tmp_path: Path) -> None:
        with replacing(tmp_path / "out.npz") as temporary:
            temporary.write_text("new")
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
