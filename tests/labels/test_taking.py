"""`digits labels`: from an export of Label Studio to pictures, labels and corrections in data/."""

import json
from pathlib import Path
from shutil import rmtree

import numpy as np
import pandas as pd
import pytest
from exports import digest, put
from helpers import finding, findings
from support import context, write_params

from digits.project import load_project
from digits.stages import pack
from imageproof.artifacts import WORKSPACE
from imageproof.base.errors import DataError
from imageproof.cli._labelling import labels
from imageproof.data import packed
from imageproof.labels._studio import task
from imageproof.labels._taking import take_labels

POOL = Path("my pool")
DATA = Path("data")
NEW = ["für später/Bild 1.png", "für später/写真 (2).png", "three.png"]
EXPORT = Path("export.json")
PARAMS = {"data.classes": 2, "data.image.fit": "stretch", "data.percent": 100}
AT = "2026-11-30T16:18:02.660930Z"


def annotation(*labels, by=1, at=AT, skipped=False):
    """What a person says of a picture: one class, none, or several."""
    result = {"type": "choices", "value": {"choices": [*labels]}}
    return {
        "completed_by": by,
        "result": [result] if labels else [],
        "was_cancelled": skipped,
        "updated_at": at,
    }


CAT = [annotation("cat")]
DOG = [annotation("dög")]


@pytest.fixture(autouse=True)
def folders(workspace):
    """Packed pictures in a folder per class, and a pool of others."""
    for number in range(6):
        put(DATA / ("cat", "dög")[number % 2] / f"{number}.png", number)
    for number, name in enumerate(NEW, 100):
        put(POOL / name, number)
    write_params(PARAMS)
    pack.main()


def imported(folder, file, **data):
    """The task of a picture in a folder."""
    values = {"file": file, "hash": digest(folder / file), "only_train": "yes"}
    return task(folder / file, "models:/digits/3", "cat", 0.5, **(values | data))


def export(tasks, *annotations):
    """Write an export of the tasks with the annotations of each; returns its path."""
    entries = [
        {"id": number, "annotations": votes, "data": entry["data"]}
        for number, (entry, votes) in enumerate(zip(tasks, annotations, strict=True), 1)
    ]
    EXPORT.write_text(json.dumps(entries))
    return EXPORT


def taken(tasks, *annotations):
    return take_labels(export(tasks, *annotations), POOL, load_project())


def take(*annotations):
    return taken([imported(POOL, file) for file in NEW], *annotations)


def contents():
    return {path: path.read_bytes() for path in DATA.rglob("*") if path.is_file()}


def table():
    return pd.read_csv("data/labels.csv", dtype=str, keep_default_na=False)


def corrected():
    lines = pd.read_csv("data/corrections.csv")
    return lines.loc[lines["label"] != lines["corrected"], "name"].tolist()


def refused(line, work, *arguments):
    """The work ends with one line, and changes nothing in data/."""
    files = contents()
    assert finding(DataError, work, *arguments).startswith(line)
    assert contents() == files


def test_pictures_labels_annotators_and_times_come_in():
    user = {"id": 2, "email": "bö@example.org"}
    later = "2026-12-01T00:00:00Z"
    assert take(DOG, [*CAT, annotation("cat", by=user, at=later)], []) == [
        "pictures → data/labelled: 2, 2 of them for training only",
        "labels corrected → data/corrections.csv: 0",
        "labels as in the data: 0",
        "pictures without a label yet: 1",
    ]
    rows = table()
    assert [*rows] == ["file", "label", "only_train", "annotator", "labelled_at"]
    assert rows.iloc[:, 1:].to_numpy().tolist() == [
        *[["cat", "", "", ""]] * 3,
        *[["dög", "", "", ""]] * 3,
        ["dög", "yes", "1", f"{AT[:19]}+00:00"],
        ["cat", "yes", "1, bö@example.org", f"{later[:19]}+00:00"],
    ]
    for file, name in zip(rows["file"][6:], NEW, strict=False):
        assert file.endswith(f"-{Path(name).name}")
        assert (DATA / file).read_bytes() == (POOL / name).read_bytes()
    pack.main()
    packed_rows = packed.load(WORKSPACE.pack).rows
    assert packed_rows["label"].tolist() == [0, 0, 0, 1, 1, 1, 1, 0]
    assert packed_rows["meta_only_train"].tolist()[6:] == ["yes", "yes"]
    files = contents()
    assert take(DOG, CAT, [])[2] == "labels as in the data: 2"
    assert contents() == files


def test_export_is_taken_again_after_an_interrupt():
    in_the_way = DATA / "labelled" / f"{digest(POOL / NEW[1])[:16]}-{Path(NEW[1]).name}"
    in_the_way.mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        take(DOG, CAT, [])
    in_the_way.rmdir()
    take(DOG, CAT, [])
    assert table()["label"].tolist()[6:] == ["dög", "cat"]


def test_columns_of_a_table_stay():
    Path("data/labels.csv").write_text(
        'file,label,writer\n./cat/0.png,cat,Ann\ndög/1.png,dög,"B, C"\n', "utf-8"
    )
    pack.main()
    take(DOG, [], [])
    rows = table()
    assert [*rows] == ["file", "label", "writer", "only_train", "annotator", "labelled_at"]
    assert rows["writer"].tolist() == ["Ann", "B, C", ""]
    assert rows["label"].tolist() == ["cat", "dög", "dög"]


def test_classes_that_params_rename_keep_the_data_s_names():
    for name, number in (("cat", "10"), ("dög", "2")):
        (DATA / name).rename(DATA / number)
    write_params(PARAMS | {"data.class_names": ["kitten", "puppy"]})
    pack.main()
    take([annotation("puppy")], [], [])
    assert table()["label"].tolist()[-1] == "10"


def test_another_label_of_a_packed_image_is_a_correction():
    for name in ("dög/again.png", "cat/again.png"):
        put(DATA / name, 0)  # as cat/0.png
    pack.main()
    files = ("cat/0.png", "dög/again.png", "cat/again.png", "dög/1.png")
    tasks = [imported(DATA, file, part="train", only_train="") for file in files]
    tasks.append(imported(DATA, "cat/2.png", only_train=""))  # a copy in the pool
    assert taken(tasks, DOG, DOG, CAT, DOG, DOG)[1:3] == [
        "labels corrected → data/corrections.csv: 2",
        "labels as in the data: 3",
    ]
    assert corrected() == ["cat/0.png", "cat/2.png"]
    assert not Path("data/labels.csv").exists()
    pack.main()
    taken(tasks[:1], CAT)  # it is taken back
    assert corrected() == ["cat/2.png"]
    pack.main()
    in_pool = imported(DATA, "cat/0.png", only_train="")  # three packed images are its copies
    assert taken([tasks[0], in_pool], DOG, DOG)[1:3] == [
        "labels corrected → data/corrections.csv: 2",
        "labels as in the data: 0",
    ]
    assert sorted(corrected()) == ["cat/0.png", "cat/2.png", "cat/again.png"]
    assert taken([in_pool], DOG)[2] == "labels as in the data: 1"


def test_exports_change_a_label_that_is_not_packed_yet():
    picture = imported(DATA, "cat/0.png", part="train", only_train="")
    for label, count in ((DOG, 1), (DOG, 0), (CAT, 1), (DOG, 1)):
        assert taken([picture], label)[1].startswith(
            f"labels corrected → data/corrections.csv: {count}"
        )


def test_labels_of_arrays_are_corrected_and_take_no_picture():
    images = np.random.default_rng(0).integers(256, size=(4, 8, 8), dtype=np.uint8)
    rmtree("data")
    DATA.mkdir()
    np.savez("data/images.npz", x_train=images, y_train=np.array([0, 1, -1, 1]))
    pack.main()
    picture = imported(POOL, "three.png")
    data = {"part": "train", "hash": packed.load_hashes(WORKSPACE.pack)[2], "file": "row 2"}
    taken([{"data": picture["data"] | data}], [annotation("1")])
    assert corrected() == ["row 2"]
    pack.main()
    assert packed.load(WORKSPACE.pack).rows["label"].tolist() == [0, 1, 1, 1]
    refused("data: no picture can be added to it; ", taken, [picture], [annotation("1")])


def test_picture_of_several_classes_is_named_and_left_out():
    tasks = [imported(POOL, file) for file in (*NEW, NEW[0])]
    cat_and_dog = [annotation("cat", "dög")]
    skipped = [*CAT, annotation("dög", by=2, skipped=True)]
    lines = taken(tasks, CAT, cat_and_dog, skipped, [annotation("dög", by=2)])
    assert lines[0] == "pictures → data/labelled: 1, 1 of them for training only"
    assert lines[4:] == [
        f"left out, as it has several classes: {name} (cat, dög; by {people})"
        for people, name in zip(("1, 2", "1"), NEW, strict=False)
    ]
    assert len(table()) == 7


def test_two_tasks_of_a_picture_are_one_and_for_training_only():
    tasks = [imported(POOL, NEW[0], only_train=value) for value in ("", "yes")]
    [line, *_] = taken(tasks, CAT, [annotation("cat", by=2)])
    assert line == "pictures → data/labelled: 1, 1 of them for training only"
    assert table().iloc[-1][["only_train", "annotator"]].tolist() == ["yes", "1, 2"]


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ({"file": "../x.png"}, "export.json: task 1: ../x.png: leads out of the folder of pict"),
        ({"file": "/etc/passwd"}, "export.json: task 1: /etc/passwd: leads out of the folder"),
        ({"file": "x" * 300}, "my pool/xxx"),
        ({"file": "a\u202e.png"}, "export.json: task 1: has not the data of a picture; export"),
        ({"hash": "0" * 32}, "my pool/für später/Bild 1.png: is not the picture of the task"),
        ({"hash": "../../x"}, "export.json: task 1: has not the data of a picture; export"),
        ({"project": "shoes"}, "export.json: task 1: is of the project 'shoes'; tasks of digits"),
        ({"part": "train"}, "train für später/Bild 1.png: no such image in the packed data"),
    ],
)
def test_task_that_is_none_of_ours_is_refused(data, line):
    picture = imported(POOL, NEW[0])
    picture["data"] |= data
    refused(line, taken, [picture], CAT)


def test_each_unknown_class_is_a_finding():
    lines = findings(DataError, take, [annotation("cow")], CAT, [annotation("Cat")])
    assert lines == [
        "export.json: task 1: cow: no class; cat, dög are",
        "export.json: task 3: Cat: no class; cat, dög are",
    ]


def test_command_tells_what_came_in(capsys):
    labels(context(), export([imported(POOL, NEW[0])], CAT), POOL)
    assert capsys.readouterr().out.startswith("pictures → data/labelled: 1, 1 of them for ")


def test_file_that_is_no_export_is_one_line():
    EXPORT.write_text('{"a": 1}')
    line = "export.json: cannot be read as Label Studio's export in the format JSON: "
    refused(line, take_labels, EXPORT, POOL, load_project())


def test_data_that_takes_no_picture_is_named():
    put(DATA / "cat/a\nb.png", 77)
    line = "data: has changed since it was packed; type `dvc repro pack` before"
    refused(line, take, CAT, [], [])
    pack.main()
    refused(r"data: cat/a\nb.png: labels.csv cannot hold such a name", take, CAT, [], [])
