"""What validation finds in raw data, how it says so, and that it says the same every time."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import great_expectations as gx
import great_expectations.expectations as gxe
import numpy as np
import pytest
from great_expectations.expectations.row_conditions import Column
from helpers import as_packed, finding
from PIL import Image
from pydantic import ValidationError
from sklearn.datasets import load_digits
from support import PIPELINE, SMALL, write_params

from digits.stages import pack
from digits.stages import validate as stage
from imageproof.artifacts import WORKSPACE
from imageproof.base.dataset import Dataset, ImageParams, RawData
from imageproof.base.errors import DataError
from imageproof.data import packing
from imageproof.data.packed import load as load_packed
from imageproof.data.validation.expectations import validate as validate_packed
from imageproof.data.validation.frames import class_frame, image_frame
from imageproof.data.validation.validate import ValidateParams

VALUES: dict[str, Any] = {
    "min_rows": 1000,
    "class_share_tolerance": 0.5,
    "min_mean_ink": 1.0,
    "max_mean_ink": 200.0,
}
PARAMS = ValidateParams(**VALUES)


def real_digits() -> RawData:
    """The 8x8 images, 0…240, the last 297 as official test part."""
    images, labels = (load_digits().images * 15).astype(np.uint8), load_digits().target
    return RawData(Dataset(images[:1500], labels[:1500]), Dataset(images[1500:], labels[1500:]))


def broken(change: Callable[[Any, Any], None]) -> RawData:
    """The 8x8 images as floats, which can hold anything, with the training part changed."""
    raw = real_digits()
    images, labels = raw.train.images.astype(np.float64), raw.train.labels.astype(np.float64)
    change(images, labels)
    return RawData(Dataset(images, labels), raw.test)  # type: ignore[arg-type]


def validate(raw: RawData, params: ValidateParams = PARAMS) -> dict[str, Any]:
    packed, names = as_packed(raw), [*map(str, range(10))]
    return validate_packed(packed, params=params, names=names)


def findings(raw: RawData, params: ValidateParams = PARAMS) -> list[SimpleNamespace]:
    outcome = validate(raw, params)["findings"]
    return sorted((SimpleNamespace(**check) for check in outcome), key=lambda c: c.severity)


def set_labels(rows: list[int], value: float) -> Callable[[Any, Any], None]:
    return lambda _, labels: labels.__setitem__(rows, value)


def set_pixel(rows: list[int], value: float) -> Callable[[Any, Any], None]:
    return lambda images, _: images.__setitem__((rows, 3, 4), value)


def set_images(rows: list[int], value: float) -> Callable[[Any, Any], None]:
    return lambda images, _: images.__setitem__(rows, value + np.eye(8) * rows[0])


def lose(label: int, *, but: int) -> Callable[[Any, Any], None]:
    return lambda _, labels: labels.__setitem__(np.flatnonzero(labels == label)[but:], 5)


DARK = "highest grey value below 128: 127.0 found; multiply all values, so that 255 is reached"
OUTSIDE, BLANK = "label outside 0…9 in", "blank image in 3 rows: row 0, row 3, row 9;"


@pytest.mark.parametrize(
    ("change", "severity", "column", "message"),
    [
        (set_labels([5, 9], 10), "critical", "label", f"{OUTSIDE} 2 rows: row 5 (label 10"),
        (set_labels([0], np.nan), "critical", "label", "no label in 1 row: row 0"),
        (set_pixel([4], np.nan), "critical", "min_pixel", "a missing pixel in 1 row: row 4"),
        (set_pixel([4], 256), "critical", "max_pixel", "pixel outside 0…255 in 1 row: row 4"),
        (set_pixel([4, 6], -1), "critical", "min_pixel", "pixel outside 0…255 in 2 rows"),
        (lose(4, but=0), "critical", "rows", "no images in 1 class: class 4; add images of"),
        (lose(4, but=20), "warning", "relative_share", "share outside 0.5…1.5 times uni"),
        (lambda images, _: images.clip(0, 127, images), "warning", "max_pixel", DARK),
        (set_images([0, 3, 9], 7), "warning", "contrast", BLANK),
        (set_images([2, 3, 9], 7), "warning", "duplicate_of", "image seen before in 2 r"),
        (set_images([2], 0), "warning", "mean_ink", "mean ink outside 1…200 in 1 row: row 2"),
        (set_images([2], 220), "warning", "mean_ink", "mean ink outside 1…200 in 1 row: ro"),
    ],
)
def test_a_fault_is_found_and_said(
    change: Callable[[Any, Any], None], severity: str, column: str, message: str
) -> None:
    outcome = findings(broken(change))
    [check] = [item for item in outcome if item.column == column and item.severity == severity]
    assert str(check.message).startswith(f"train: {message}")
    assert severity == "critical" or {item.severity for item in outcome} == {"warning"}


def test_finding_names_five_rows_at_most() -> None:
    [message] = [c.message for c in findings(broken(set_labels([*range(12)], 10)))]
    assert message.startswith("train: label outside 0…9 in 12 rows: row 0 (label ")
    assert message.count("(label ") == 5
    assert ", …; mend the labels" in message


def test_too_few_rows_is_critical() -> None:
    params = ValidateParams(**{**VALUES, "min_rows": 1501})
    (check,) = findings(real_digits(), params)
    assert (check.severity, check.part) == ("critical", "train")
    text = "fewer than 1501 rows: 1500 found; add data, or lower validate.min_rows"
    assert check.message == f"train: {text}; `digits adapt` says what fits"


def test_image_in_both_parts_is_a_warning() -> None:
    raw = real_digits()
    raw.test.images[[5, 8]] = raw.train.images[[11, 12]]
    raw.test.labels[[5, 8]] = raw.train.labels[11] + 1, raw.train.labels[12]
    messages = {(item.part, item.column): item.message for item in findings(raw)}
    assert "2 rows: row 5 (as row 11), row 8 (as row 12)" in messages["test", "same_as_train"]
    label = raw.train.labels[11]
    assert f"in 1 row: row 5 (label {label} elsewhere)" in messages["test", "other_label"]
    assert len(messages) == 2


def test_result_as_json() -> None:
    result = validate(broken(set_labels([5], 10)))
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert (result["success"], result["critical"], result["warnings"]) == (False, 1, 0)
    assert len(result["expectations"]) == 36
    assert result["summary"]["test"]["rows"] == 297
    assert result["summary"]["train"]["shapes"] == ["8x8"]
    assert sum(result["summary"]["test"]["class_counts"].values()) == 297
    assert validate(broken(set_images([2], 220)))["success"]  # warnings alone refuse nothing


def test_frames_that_are_checked() -> None:
    images = np.arange(5 * 4, dtype=np.uint8).reshape(5, 2, 2)
    train = Dataset(images[[0, 1, 0, 2, 0]], np.array([0, 1, 0, 1, 0]))
    test = Dataset(images[[3, 2, 0]], np.array([0, 1, 0]))
    frame = image_frame(as_packed(RawData(train, test)), ["a", "b", "c"])
    assert frame["part"].tolist() == ["train"] * 5 + ["test"] * 3
    assert frame["duplicate_of"].dropna().to_dict() == {2: "row 0", 4: "row 0"}
    assert frame["same_as_train"].dropna().to_dict() == {6: "row 3", 7: "row 0"}
    assert frame["min_pixel"].tolist() == [0, 4, 0, 8, 0, 12, 8, 0]
    assert frame["mean_ink"].iloc[1] == 5.5
    shares = class_frame(frame[:5], ["a", "b", "c"])["relative_share"]  # relative to uniform
    assert shares.fillna(-1).tolist() == [1.8, 1.2, -1]


def test_limits_that_leave_no_ink_are_refused() -> None:
    with pytest.raises(ValidationError, match="min_mean_ink must be below max_mean_ink"):
        ValidateParams(**{**VALUES, "min_mean_ink": 200.0})


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_params(SMALL)
    return Path("gx/expectations/images.json")


def test_finding_names_the_file_and_is_in_data_docs(
    suite: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = real_digits()
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
    index = (WORKSPACE.data_docs / "index.html").read_text("utf-8")
    assert f"expectations/{suite.stem}.html" in index
    pages = [page.read_text("utf-8") for page in WORKSPACE.data_docs.glob("validations/**/*.html")]
    assert all('.fa-times::before { content: "✗"' in page for page in pages)
    assert any('class="fas fa-times' in page for page in pages)


def test_expectations_that_an_owner_adds_by_great_expectations(suite: Path) -> None:
    images = gx.get_context(mode="file", project_root_dir=".").suites.get("images")
    twenty = {"max_value": {"$PARAMETER": "20 * min_mean_ink"}, "description": "Threes are thin"}
    mean, between = gxe.ExpectColumnMeanToBeBetween, gxe.ExpectColumnValuesToBeBetween
    images.add_expectation(mean(column="mean_ink", row_condition=Column("label") == 3, **twenty))
    images.add_expectation(between(column="mean_ink", max_value=101, severity="warning"))
    [thin, dark, _] = validate(real_digits())["findings"]
    assert thin["message"].startswith("train: not met: Threes are thin: 71.738")
    text = "expect_column_values_to_be_between(column=mean_ink, max_value=101) in 1 row"
    assert dark["message"] == f"train: not met: {text}: row 818 (101.48); as {suite} asks"
    assert (thin["severity"], dark["severity"]) == ("critical", "warning")
    assert "gx/expectations" in PIPELINE["validate"]["deps"]


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ('"kwargs"', "", "cannot be read as an expectation suite: Expecting"),
        ("_to_not_be_null", "_to_be_null_", "expect_column_values_to_be_null_ not found"),
        ('"label"', '"lable"', 'The column "lable" in BatchData does not exist'),
        ('"labels"', '"lables"', "No value found for $PARAMETER lables"),
        ('"label"', '"label", "row_condition": "@pd.io.f(1)"', "row_condition '@pd.io.f(1)': has"),
        ('"label"', '"label", "row_condition": "label < 9**9**9"', "has a @, (, ` or *"),
        ('"label"', '"label", "mostly": {"$PARAMETER": "9^9^9"}', "PARAMETER '9^9^9': has a ^, or"),
        ('"labels"', f'"{"abs(" * 30}1{")" * 30}"', "has a ^, or over 5 brackets"),
        ("\n", " " * 100_000, "at most 100,000 are allowed"),
    ],
)
def test_a_damaged_suite_is_one_line(suite: Path, old: str, new: str, text: str) -> None:
    suite.write_text(suite.read_text("utf-8").replace(old, new, 1), "utf-8")
    line = finding(DataError, lambda: validate(real_digits()))
    assert line.startswith(f"{suite}: ")
    assert text in line


def test_odd_pictures_are_named_by_their_files(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (44, 40, 120, 3), np.uint8)
    pictures = {f"cat/{n}.png" if n < 24 else f"dog/{n}.png": pixels[n, :, :40] for n in range(43)}
    pictures |= {
        "cat/black.png": np.zeros((40, 40, 3), np.uint8),
        "cat/grey.png": np.full((40, 40), 90, np.uint8),
        "cat/small.png": pixels[43, :20, :20],
        "cat/wide.png": pixels[43],
    }
    for name, values in pictures.items():
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(path)
    for name in ("cat/0.png", "dog/42.png"):  # which is black where it is packed
        (tmp_path / "data" / name).write_bytes(b"")
    image = ImageParams(size=[40, 40], channels="rgb", fit="stretch")
    packing.pack(tmp_path / "data", tmp_path / "packed", image, 2, None)
    params = ValidateParams(**{**VALUES, "min_rows": 1})
    packed = load_packed(tmp_path / "packed")
    result = validate_packed(packed, params=params, names=["cat", "dog"])
    messages = {check["column"]: check["message"] for check in result["findings"]}
    assert "a picture that cannot be read in 2 rows: cat/0.png (no PNG, " in messages["fault"]
    assert "of the model's images in 1 row: cat/wide.png (3.0 times)" in messages["aspect"]
    assert "the model's images in 1 row: cat/small.png (0.5 times)" in messages["scale"]
    assert "not in colour, as most are in 1 row: cat/grey.png (grey)" in messages["mode"]
    assert "fewer than 20 images in 1 class: class dog (19)" in messages["rows"]
    assert result["critical"] == 1
