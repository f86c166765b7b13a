"""What `pack` reads is what DVC versions: no links to folders, nothing that .dvcignore names."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import finding, put_pictures, python

from imageproof.base.dataset import ImageParams
from imageproof.base.errors import DataError
from imageproof.data import packed, packing
from imageproof.data.readers.versioned import list_files

FORM = ImageParams(size="auto", channels="auto", fit="stretch")
NAMES = [
    *("cat/1.png", "cat/draft-2.png", "cat/b1.png", "cat/b2.png", "cat/deep/x/3.png", "cat/#4.png"),
    *("dog/1.png", "dog/old/5.png", "dog/skip", "dog/keep.tmp", "dog/6.tmp", "dog/deep/7.png"),
    *("skip/8.png", "old/9.png", "trash/10.png", "trash/keep.tmp", "b1.png", "dog/ü.png"),
]
IGNORED = [
    *("*.tmp", "!keep.tmp", "# a comment", "", " skip/ ", "/data/old", "/dog", "draft-*", "trash"),
    *("ü*", "data/cat/1.png", "b*.png", "!b2.png", "cat/deep/", r"\#*", "*9.png", "!old/9.png"),
]


def pack(folder: Path) -> list[str]:
    _, _, warnings = packing.pack(folder / "data", folder / "packed", FORM, 2, None)
    return [*warnings]


def files_of_dvc() -> list[str]:
    """What `dvc add data` put into the cache."""
    for command in (["init", "--no-scm", "-q"], ["add", "data", "-q"]):
        done = python("-m", "dvc", *command)
        assert done.returncode == 0, done.stderr
    [listing] = Path(".dvc/cache/files/md5").glob("*/*.dir")
    return sorted(file["relpath"] for file in json.loads(listing.read_text("utf-8")))


def test_files_are_those_of_dvc(workspace: Path) -> None:
    data = put_pictures(workspace / "data", *NAMES)
    shutil.copy(data / "dog/1.png", workspace / "single.png")
    (data / "dog/single.png").symlink_to(workspace / "single.png")
    Path(".dvcignore").write_text("\n".join(IGNORED), "utf-8")
    versioned = files_of_dvc()
    files = list_files(Path("data"))
    assert files.versioned == versioned
    assert files.ignored == sorted({*NAMES} - {*versioned})


def test_link_to_a_file_is_read_as_dvc_reads_it(workspace: Path) -> None:
    data = put_pictures(workspace / "data", "cat/1.png", "dog/1.png")
    put_pictures(workspace, "single.png")
    (data / "cat/2.png").symlink_to(workspace / "single.png")
    pack(workspace)
    names = packed.load(Path("packed")).rows["name"].tolist()
    assert names == files_of_dvc() == ["cat/1.png", "cat/2.png", "dog/1.png"]


def ignore_dogs(data: Path) -> None:
    (data.parent / ".dvc").mkdir()
    (data.parent / ".dvcignore").write_text("data/dog/2*\n", "utf-8")


def name_dogs(data: Path) -> None:
    lines = ["file,label", "cat/1.png,cat", "dog/1.png,dog"]
    (data / "labels.csv").write_text("\n".join(lines), "utf-8")


@pytest.mark.parametrize("change", [lambda _: None, name_dogs], ids=["folders", "labels.csv"])
def test_link_to_a_folder_is_refused(tmp_path: Path, change: Callable[[Path], None]) -> None:
    data = put_pictures(tmp_path / "data", "cat/1.png")
    put_pictures(tmp_path, "my dogs/1.png")
    (data / "dog").symlink_to(tmp_path / "my dogs")
    change(data)
    mend = f"delete it, or type: rm {data}/dog && cp -r '{tmp_path}/my dogs' {data}/dog"
    line = finding(DataError, lambda: pack(tmp_path))
    assert line == f"{data}/dog: is a link to a folder, whose files DVC does not version; {mend}"


def test_ignored_pictures_are_left_out_and_named(tmp_path: Path) -> None:
    data = put_pictures(tmp_path / "data", "cat/1.png", "dog/1.png", "dog/2.png", "dog/22.png")
    ignore_dogs(data)
    message = f"{data}: left out, as .dvcignore names them: 2 (dog/2.png, dog/22.png)"
    assert pack(tmp_path) == [message]
    name_dogs(data)
    with (data / "labels.csv").open("a") as table:
        table.write("\ndog/2.png,dog\n")
    line = finding(DataError, lambda: pack(tmp_path))
    assert line == f"{data}/labels.csv:4: dog/2.png: not found, as .dvcignore leaves it out"


def test_ignored_tables_and_arrays_are_not_read(tmp_path: Path) -> None:
    data = put_pictures(tmp_path / "data", "cat/1.png", "dog/1.png")
    name_dogs(data)
    (data / "corrections.csv").write_text("no table", "utf-8")
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvcignore").write_text("labels.csv\ncorrections.csv\n", "utf-8")
    message = f"{data}: left out, as .dvcignore names them: 2 (corrections.csv, labels.csv)"
    assert pack(tmp_path) == [message]
    shutil.rmtree(data / "cat")
    shutil.rmtree(data / "dog")
    assert "no data files found" in finding(DataError, lambda: pack(tmp_path))
