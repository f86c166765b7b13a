"""`digits labels`: from an export of Label Studio to pictures, labels and corrections in data/."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from exports import AT, annotation, digest, exported, imported, write
from helpers import finding, findings
from PIL import Image
from support import context, write_params

from digits.project import load_project
from digits.stages import pack
from imageproof.artifacts import WORKSPACE
from imageproof.base.errors import DataError
from imageproof.cli.labelling import labels
from imageproof.data import packed
from imageproof.labels import studio
from imageproof.labels.taking import take_labels

POOL = Path("my pool")
NEW = ["für später/Bild 1.png", "für später/写真 (2).png", "three.png"]
EXPORT = Path("export.json")
PARAMS: dict[str, Any] = {"data.classes": 2, "data.image.fit": "stretch", "data.percent": 100}


def put(path: Path, seed: int) -> Path:
    pixels = np.random.default_rng(seed).integers(256, size=(8, 8), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def folders(workspace: Path) -> Path:
    """Packed pictures in a folder per class, and a pool of others."""
    for number in range(6):
        put(Path("data", ("cat", "dög")[number % 2], f"{number}.png"), number)
    for number, name in enumerate(NEW, 100):
        put(POOL / name, number)
    write_params(PARAMS)
    pack.main()
    return workspace


def take(*annotations: list[dict[str, Any]], files: list[str] = NEW, **data: str) -> list[str]:
    tasks = [imported(POOL, file, **data) for file in files]
    return taken(exported(tasks, *annotations))


def taken(export: object) -> list[str]:
    return take_labels(write(EXPORT, export), POOL, load_project())


def contents() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path("data").rglob("*") if path.is_file()}


def table() -> pd.DataFrame:
    return pd.read_csv("data/labels.csv", dtype=str, keep_default_na=False)


def refused(line: str, export: object) -> None:
    """The export ends with one line, and changes nothing in data/."""
    before = contents()
    assert finding(DataError, partial(taken, export)).startswith(line)
    assert contents() == before


@pytest.mark.usefixtures("folders")
def test_pictures_labels_annotators_and_times_come_in() -> None:
    user = {"id": 2, "email": "bö@example.org", "first_name": "B", "last_name": ""}
    later = "2026-12-01T00:00:00Z"
    lines = take(
        [annotation("dög")],
        [annotation("cat"), annotation("cat", by=user, at=later)],
        [],
        only_train="yes",
    )
    assert lines == [
        "2 pictures → data/labelled, 2 of them for training only",
        "0 labels corrected → data/corrections.csv",
        "0 labels are those of the data",
        "1 pictures have no label yet",
    ]
    rows = table()
    assert [*rows] == ["file", "label", "only_train", "annotator", "labelled_at"]
    assert rows["label"].tolist() == ["cat"] * 3 + ["dög"] * 3 + ["dög", "cat"]
    assert rows["only_train"].tolist() == [""] * 6 + ["yes"] * 2
    assert rows["annotator"].tolist()[6:] == ["1", "1, bö@example.org"]
    assert rows["labelled_at"].tolist()[6:] == [f"{AT[:19]}+00:00", f"{later[:19]}+00:00"]
    for file, name in zip(rows["file"][6:], NEW, strict=False):
        assert Path(name).name in file
        assert Path("data", file).read_bytes() == (POOL / name).read_bytes()
    pack.main()
    packed_rows = packed.load(WORKSPACE.pack).rows
    assert packed_rows["label"].tolist() == [0, 0, 0, 1, 1, 1, 1, 0]
    assert packed_rows["meta_only_train"].tolist()[6:] == ["yes", "yes"]


@pytest.mark.usefixtures("folders")
def test_same_export_again_changes_nothing() -> None:
    votes = [annotation("dög")], [annotation("cat")], [annotation("cat")]
    take(*votes)
    pack.main()
    before = contents()
    assert take(*votes)[2] == "3 labels are those of the data"
    assert contents() == before


@pytest.mark.usefixtures("folders")
def test_columns_of_a_table_stay() -> None:
    Path("data/labels.csv").write_text(
        'file,label,writer\n./cat/0.png,cat,Ann\ndög/1.png,dög,"B, C"\n', "utf-8"
    )
    pack.main()
    take([annotation("dög")], [], [])
    rows = table()
    assert [*rows] == ["file", "label", "writer", "only_train", "annotator", "labelled_at"]
    assert rows["writer"].tolist() == ["Ann", "B, C", ""]
    assert rows["label"].tolist() == ["cat", "dög", "dög"]


@pytest.mark.usefixtures("folders")
def test_classes_that_params_rename_keep_the_data_s_names() -> None:
    write_params(PARAMS | {"data.class_names": ["kitten", "puppy"]})
    pack.main()
    take([annotation("puppy")], [], [])
    assert table()["label"].tolist()[-1] == "dög"


@pytest.mark.usefixtures("folders")
def test_another_label_of_a_packed_image_is_a_correction() -> None:
    task = imported(Path("data"), "cat/0.png", part="train", only_train="")
    copy = imported(Path("data"), "cat/2.png", only_train="")
    same = imported(Path("data"), "dög/1.png", part="train", only_train="")
    votes = [annotation("dög")], [annotation("dög")], [annotation("dög")]
    lines = taken(exported([task, copy, same], *votes))
    assert lines[1:3] == [
        "2 labels corrected → data/corrections.csv",
        "1 labels are those of the data",
    ]
    corrections = pd.read_csv("data/corrections.csv")
    assert corrections["name"].tolist() == ["cat/0.png", "cat/2.png"]
    assert corrections["corrected"].tolist() == ["dög"] * 2
    assert not Path("data/labels.csv").exists()
    pack.main()
    assert packed.load(WORKSPACE.pack).rows["label"].tolist() == [1, 1, 0, 1, 1, 1]
    taken(exported([task], [annotation("cat")]))  # it is taken back
    assert pd.read_csv("data/corrections.csv")["name"].tolist() == ["cat/2.png"]


@pytest.mark.usefixtures("folders")
def test_one_of_two_equal_images_is_corrected() -> None:
    for name in ("dög/again.png", "cat/again.png"):
        put(Path("data", name), 0)  # as cat/0.png
    pack.main()
    names = ["cat/0.png", "dög/again.png"]
    tasks = [imported(Path("data"), name, part="train", only_train="") for name in names]
    taken(exported(tasks, [annotation("dög")], [annotation("dög")]))
    corrections = pd.read_csv("data/corrections.csv")
    assert corrections["name"].tolist() == ["cat/0.png"]


@pytest.mark.usefixtures("workspace")
def test_labels_of_arrays_are_corrected_and_take_no_picture() -> None:
    images = np.random.default_rng(0).integers(256, size=(4, 8, 8), dtype=np.uint8)
    Path("data").mkdir()
    np.savez("data/images.npz", x_train=images, y_train=np.array([0, 1, 0, 1]))
    write_params(PARAMS)
    pack.main()
    put(POOL / "three.png", 1)
    data = {"file": "row 2", "part": "train", "hash": packed.load_hashes(WORKSPACE.pack)[2]}
    task = {"data": imported(POOL, "three.png")["data"] | data}
    assert taken(exported([task], [annotation("1")]))[1].startswith("1 labels corrected")
    assert pd.read_csv("data/corrections.csv")["name"].tolist() == ["row 2"]
    new = exported([imported(POOL, "three.png")], [annotation("1")])
    refused("data: has arrays, to which no picture can be added; folders of classes", new)


@pytest.mark.usefixtures("folders")
def test_annotators_who_disagree_are_named_and_left_out() -> None:
    lines = take(
        [annotation("cat"), annotation("dög", by=2)],
        [annotation("cat", "dög")],
        [annotation("cat")],
    )
    assert lines[0].startswith("1 pictures")
    assert lines[4:] == [f"left out, as annotators disagree: {name} (cat, dög)" for name in NEW[:2]]
    assert len(table()) == 7


@pytest.mark.usefixtures("folders")
def test_skipped_annotation_is_none_and_two_tasks_of_a_picture_are_one() -> None:
    twice = [NEW[0], NEW[0], NEW[1]]
    votes = [annotation("cat")], [annotation("dög", skipped=True)], [annotation()]
    assert take(*votes, files=twice)[0::3] == [
        "1 pictures → data/labelled, 1 of them for training only",
        "1 pictures have no label yet",
    ]


@pytest.mark.usefixtures("folders")
@pytest.mark.parametrize(
    ("data", "line"),
    [
        ({"file": "../x.png"}, "export.json: task 1: ../x.png: leads out of the folder of pict"),
        ({"file": "/etc/passwd"}, "export.json: task 1: /etc/passwd: leads out of the folder"),
        ({"file": "http://192.0.2.1/x.png"}, "my pool/http:/192.0.2.1/x.png: cannot be read"),
        ({"file": "gone.png"}, "my pool/gone.png: cannot be read as an image: [Errno 2] No such"),
        ({"file": "für später"}, "my pool/für später: is a folder"),
        ({"file": "x" * 300}, "my pool/xxx"),
        ({"file": "a\u202e.png"}, "export.json: task 1: has not the data of a picture; export"),
        ({"hash": "0" * 32}, "my pool/für später/Bild 1.png: is not the picture of the task"),
        ({"hash": "../../x"}, "export.json: task 1: has not the data of a picture; export"),
        ({"project": "shoes"}, "export.json: task 1: is of the project 'shoes'; tasks of digits"),
        ({"project": ""}, "export.json: task 1: is of the project ''; tasks of digits are"),
        ({"part": "train"}, "train für später/Bild 1.png: no such image in the packed data"),
    ],
)
def test_task_that_is_none_of_ours_is_refused(data: dict[str, str], line: str) -> None:
    task = imported(POOL, NEW[0])
    task["data"] |= data
    refused(line, exported([task], [annotation("cat")]))


@pytest.mark.usefixtures("folders")
def test_each_unknown_class_is_a_finding_and_nothing_is_written() -> None:
    tasks = [imported(POOL, file) for file in NEW]
    votes = [annotation("cow")], [annotation("cat")], [annotation("Cat")]
    before = contents()
    lines = findings(DataError, lambda: taken(exported(tasks, *votes)))
    assert lines == [
        "export.json: task 1: cow: no class; cat, dög are",
        "export.json: task 3: Cat: no class; cat, dög are",
    ]
    assert contents() == before


@pytest.mark.usefixtures("folders")
@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[{"id": 1, "annot', "export.json: Invalid JSON: EOF while parsing a string"),
        ("", "export.json: Invalid JSON: EOF while parsing a value"),
        ("[" * 100_000, "export.json: Invalid JSON: recursion limit exceeded"),
        ('{"a": 1}', "export.json: Input should be a valid array; Label Studio's export in the"),
        ('[{"image": "x", "label": "cat"}]', "export.json: 0: id: Field required; Label Studio's"),
        ('[{"id": 1, "data": {}, "annotations": [{}]}]', "export.json: 0: annotations: 0: compl"),
        ("\xff\xfe", "export.json: Invalid JSON"),
    ],
)
def test_file_that_is_no_export_is_one_line(text: str, line: str) -> None:
    EXPORT.write_bytes(text.encode("latin-1"))
    before = contents()
    project = load_project()
    assert finding(DataError, lambda: take_labels(EXPORT, POOL, project)).startswith(line)
    assert contents() == before


@pytest.mark.usefixtures("folders")
def test_gigabyte_is_refused_unread() -> None:
    with EXPORT.open("wb") as file:
        file.truncate(1_000_000_000)
    line = finding(DataError, lambda: take_labels(EXPORT, POOL, load_project()))
    allowed = f"at most {studio.MAX_BYTES:,} are allowed"
    assert line == f"export.json: has 1,000,000,000 bytes; {allowed}"
    line = finding(DataError, lambda: take_labels(Path("none.json"), POOL, load_project()))
    assert line == "none.json: not found"


@pytest.mark.usefixtures("folders")
def test_data_that_was_not_packed_since_is_named() -> None:
    export = exported([imported(POOL, NEW[0])], [annotation("cat")])
    put(Path("data/cat/more.png"), 77)
    refused("data: has changed since it was packed; type `dvc repro pack` before", export)


@pytest.mark.usefixtures("folders")
def test_test_part_of_its_own_takes_no_picture() -> None:
    for number in range(12):
        part = ("train", "test")[number % 2]
        put(Path("data", part, ("cat", "dög")[number // 6], f"{number}.png"), number)
    for folder in ("cat", "dög"):
        for path in Path("data", folder).iterdir():
            path.unlink()
    pack.main()
    export = exported([imported(POOL, NEW[0])], [annotation("cat")])
    refused("data: has a test part of its own, to which no picture can be added; fol", export)


@pytest.mark.usefixtures("folders")
def test_command_tells_what_came_in(capsys: pytest.CaptureFixture[str]) -> None:
    export = write(EXPORT, exported([imported(POOL, NEW[0])], [annotation("cat")]))
    labels(context(), export, POOL)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "1 pictures → data/labelled, 1 of them for training only"
    assert lines[-1] == "`dvc add data` versions it, and the next `digits run` uses it"
    assert digest(POOL / NEW[0])[:16] in table()["file"].tolist()[-1]
    assert json.loads(EXPORT.read_text("utf-8"))[0]["data"]["image"].startswith("data:image/jpeg")
