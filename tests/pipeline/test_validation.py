"""What validation finds in raw data, how it says so, and that it says the same every time."""

import json
from pathlib import Path

import great_expectations as gx
import great_expectations.expectations as gxe
import numpy as np
import pytest
from great_expectations.expectations.row_conditions import Column
from helpers import as_packed, finding, pack_data, put_pictures
from PIL import Image
from support import PIPELINE, SMALL, write_params

from digits.stages import pack
from digits.stages import validate as stage
from imageproof.artifacts import WORKSPACE
from imageproof.base._dataset import Dataset, RawData
from imageproof.base.errors import DataError
from imageproof.data.validation import expectations
from imageproof.data.validation.validate import ValidateParams

LIMITS = {"class_share_tolerance": 0.5, "min_mean_ink": 1.0, "max_mean_ink": 200.0}


@pytest.fixture
def raw(images_8x8):
    """The 8×8 images, 0…240, the last 297 as official test part."""
    data = Dataset(images_8x8.images * np.uint8(15), images_8x8.labels)
    return RawData(data.take(np.arange(1500)), data.take(np.arange(1500, 1797)))


def validate(packed, names="0123456789", min_rows=1):
    params = ValidateParams(min_rows=min_rows, **LIMITS)
    return expectations.validate(packed, params=params, names=[*names])


def messages(result):
    """What is found, by part, column and severity."""
    return {
        (check["part"], check["column"], check["severity"]): check["message"]
        for check in result["findings"]
    }


def test_each_fault_is_found_and_said(raw):
    images = raw.train.images
    labels = raw.train.labels
    labels[:6] = 10
    labels[np.flatnonzero(labels == 4)[20:]] = 5
    images[[10, 13, 19]] = 7
    labels[[10, 13, 19]] = 1
    images[30] = 220 + np.eye(8)
    images[31] = np.eye(8)
    raw.test.images[[5, 8]] = images[[11, 12]]
    raw.test.labels[[5, 8]] = labels[[11, 12]] + [1, 0]
    result = validate(as_packed(raw), min_rows=1501)
    lines = messages(result)
    shared = lines.pop(("test", "same_as_train", "warning"))
    assert "2 rows: row 5 (as row 11), row 8 (as row 12)" in shared
    assert "in 1 row: row 5 (label 1 elsewhere)" in lines.pop(("test", "other_label", "warning"))
    for key, severity, start in (
        (None, "critical", "fewer than 1501 rows: 1500 found; add data, or lower"),
        ("label", "critical", "label outside 0…9 in 6 rows: row 0 (label 10), row 1 (label 10), "
         "row 2 (label 10), row 3 (label 10), row 4 (label 10), …; mend"),
        ("relative_share", "warning", "share outside 0.5…1.5 times uniform in 2 classes: class 4"),
        ("contrast", "warning", "blank image in 3 rows: row 10, row 13, row 19; nothing can be"),
        ("duplicate_of", "warning", "image seen before in 2 rows: row 13 (as row 10), row 19 (as "),
        ("mean_ink", "warning", "mean ink outside 1…200 in 2 rows: row 30 (220.12), row 31 (0.12"),
    ):  # fmt: skip
        assert lines.pop(("train", key, severity)).startswith(f"train: {start}")
    assert lines == {}

    assert (result["success"], result["critical"], result["warnings"]) == (False, 2, 6)


def test_dark_images_and_class_without_images_are_found(raw):
    raw.train.images.clip(0, 127, raw.train.images)
    raw.train.labels[raw.train.labels == 4] = 5
    lines = messages(validate(as_packed(raw)))
    line = lines["train", "max_pixel", "warning"]
    assert line.startswith("train: highest grey value below 128: 127 found")
    assert lines["train", "rows", "critical"].startswith("train: no images in 1 class: class 4")


@pytest.fixture
def suite(workspace):
    write_params(SMALL)
    return Path("gx/expectations/images.json")


@pytest.mark.usefixtures("suite")
def test_finding_names_the_file_and_is_in_data_docs(raw, capsys):
    raw.train.labels[7] = 10
    raw.test.images[3] = raw.test.images[2]
    Path("data").mkdir()
    train = {"x_train": raw.train.images, "y_train": raw.train.labels}
    np.savez("data/digits.npz", **train, x_test=raw.test.images, y_test=raw.test.labels)
    pack.main()
    line = finding(DataError, lambda: stage.main("--docs"))
    assert line.startswith("data/digits.npz: train: label outside 0…9 in 1 row: row 7")
    warning = "warning: data/digits.npz: test: image seen before in 1 row: row 3"
    assert warning in capsys.readouterr().out
    assert json.loads(WORKSPACE.validation.read_text())["critical"] == 1
    assert "expectations/images.html" in (WORKSPACE.data_docs / "index.html").read_text("utf-8")


def test_expectations_that_an_owner_adds_by_great_expectations(suite, raw):
    images = gx.get_context(mode="file", project_root_dir=".").suites.get("images")
    thin = gxe.ExpectColumnMeanToBeBetween(
        column="mean_ink",
        row_condition=Column("label") == 3,
        max_value={"$PARAMETER": "20 * min_mean_ink"},
        description="Threes are thin",
    )
    dark = gxe.ExpectColumnValuesToBeBetween(column="mean_ink", max_value=101, severity="warning")
    images.add_expectation(thin)
    images.add_expectation(dark)
    first, second, _ = validate(as_packed(raw))["findings"]
    assert (first["severity"], second["severity"]) == ("critical", "warning")
    assert first["message"].startswith("train: not met: Threes are thin: 71.738")
    text = "expect_column_values_to_be_between(column=mean_ink, max_value=101) in 1 row"
    assert second["message"] == f"train: not met: {text}: row 818 (101.48); as {suite} asks"
    assert "gx/expectations" in PIPELINE["validate"]["deps"]


def test_a_damaged_suite_is_one_line(suite, raw):
    suite.write_text(suite.read_text("utf-8").replace('"label"', '"lable"', 1), "utf-8")
    line = finding(DataError, lambda: validate(as_packed(raw)))
    assert line.startswith(f"{suite}: ")
    assert 'The column "lable" in BatchData does not exist' in line


def test_odd_pictures_are_named_by_their_files(suite):
    pixels = np.random.default_rng(0).integers(0, 256, (44, 40, 120, 3), np.uint8)
    pictures = {f"{'cat' if n < 24 else 'dog'}/{n}.png": pixels[n, :, :40] for n in range(43)}
    pictures |= {
        "cat/black.png": np.zeros((40, 40, 3), np.uint8),
        "cat/grey.png": np.full((40, 40), 90, np.uint8),
        "cat/small.png": pixels[43, :20, :20],
        "cat/wide.png": pixels[43],
    }
    put_pictures(Path("data"), *pictures)
    for name, values in pictures.items():
        Image.fromarray(values).save(f"data/{name}")
    for name in ("cat/0.png", "dog/42.png"):  # which is black where it is packed
        Path("data", name).write_bytes(b"")
    result = validate(pack_data(size=[40, 30], channels="rgb"), ["cat", "dog"])
    findings = "\n".join(check["message"] for check in result["findings"])
    for line in (
        "a picture that cannot be read in 2 rows: cat/0.png (no PNG, ",
        "of the model's images in 1 row: cat/wide.png (4.0 times)",
        "the model's images in 1 row: cat/small.png (0.5 times)",
        "not in colour, as most are in 1 row: cat/grey.png (grey)",
        "fewer than 20 images in 1 class: class dog (19)",
    ):
        assert line in findings
    assert result["critical"] == 1
