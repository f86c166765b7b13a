"""What `pack` reads is what DVC versions: no links to folders, nothing that .dvcignore names."""

import json
import shutil
from pathlib import Path

import pytest
from dvc.repo import Repo
from helpers import finding, put_pictures

from imageproof.base.dataset import ImageParams
from imageproof.base.errors import DataError
from imageproof.data import packing
from imageproof.data.readers.versioned import list_files

NAMES = [
    *("cat/1.png", "cat/draft-2.png", "cat/b1.png", "cat/b2.png", "cat/deep/x/3.png", "cat/#4.png"),
    *("dog/1.png", "dog/old/5.png", "dog/skip", "dog/keep.tmp", "dog/6.tmp", "dog/deep/7.png"),
    *("skip/8.png", "old/9.png", "trash/10.png", "trash/keep.tmp", "b1.png", "dog/ü.png"),
]
IGNORED = [
    *("*.tmp", "!keep.tmp", "# a comment", "", " skip/ ", "/data/old", "/dog", "draft-*", "trash"),
    *("ü*", "data/cat/1.png", "b*.png", "!b2.png", "cat/deep/", r"\#*", "*9.png", "!old/9.png"),
]
TABLE = "file,label\ncat/1.png,cat\ndog/1.png,dog\n"
DATA = Path("data")

pytestmark = pytest.mark.usefixtures("workspace")


def pack():
    """Pack the data; what is warned of."""
    form = ImageParams(size="auto", channels="auto", fit="stretch")
    _, _, warnings = packing.pack(DATA, Path("packed"), form, 2, None)
    return warnings


def files_of_dvc():
    """What `dvc add data` put into the cache."""
    with Repo.init(no_scm=True) as repo:
        repo.add("data")
    [listing] = Path(".dvc/cache/files/md5").glob("*/*.dir")
    return sorted(file["relpath"] for file in json.loads(listing.read_text("utf-8")))


def ignore(*patterns):
    Path(".dvc").mkdir()
    Path(".dvcignore").write_text("\n".join(patterns), "utf-8")


def test_files_are_those_of_dvc():
    put_pictures(DATA, *NAMES)
    put_pictures(Path(), "single.png")
    (DATA / "dog/single.png").symlink_to(Path("single.png").resolve())
    Path(".dvcignore").write_text("\n".join(IGNORED), "utf-8")
    versioned = files_of_dvc()
    assert "dog/single.png" in versioned
    assert list_files(DATA) == (versioned, sorted({*NAMES} - {*versioned}))


@pytest.mark.parametrize("table", ["", TABLE], ids=["folders", "labels.csv"])
def test_link_to_a_folder_is_refused(workspace, table):
    put_pictures(DATA, "cat/1.png")
    put_pictures(Path(), "my dogs/1.png")
    (DATA / "dog").symlink_to(workspace / "my dogs")
    if table:
        (DATA / "labels.csv").write_text(table)
    mend = f"delete it, or type: rm data/dog && cp -r '{workspace}/my dogs' data/dog"
    line = finding(DataError, pack)
    assert line == f"data/dog: is a link to a folder, whose files DVC does not version; {mend}"


def test_ignored_pictures_are_left_out_and_named():
    put_pictures(DATA, "cat/1.png", "dog/1.png", "dog/2.png", "dog/22.png")
    ignore("data/dog/2*")
    assert pack() == ["data: left out, as .dvcignore names them: 2 (dog/2.png, dog/22.png)"]
    (DATA / "labels.csv").write_text(f"{TABLE}dog/2.png,dog\n")
    line = finding(DataError, pack)
    assert line == "data/labels.csv:4: dog/2.png: not found, as .dvcignore leaves it out"


def test_ignored_tables_and_arrays_are_not_read():
    put_pictures(DATA, "cat/1.png", "dog/1.png")
    for name in ("labels.csv", "corrections.csv", "train.csv"):
        (DATA / name).write_text("no table")
    ignore("*.csv")
    names = "corrections.csv, labels.csv, train.csv"
    assert pack() == [f"data: left out, as .dvcignore names them: 3 ({names})"]
    for name in ("cat", "dog"):
        shutil.rmtree(DATA / name)
    assert "no data files found" in finding(DataError, pack)
