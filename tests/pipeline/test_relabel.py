"""`digits suspects` and `digits relabel`: from wrong labels to those that are packed."""

import json
import re
from pathlib import Path

import networks
import numpy as np
import onnx
import pandas as pd
import pytest
from helpers import finding
from onnx import helper
from support import SMALL, changed, context, write_params

from digits.params import Params, check
from digits.project import as_project
from digits.stages import pack
from digits.training.trainer import trainer
from imageproof.artifacts import WORKSPACE
from imageproof.base.dataset import Dataset
from imageproof.base.errors import DataError, UsageError
from imageproof.base.files import sha256
from imageproof.cli.labelling import relabel, suspects
from imageproof.data import packed
from imageproof.features.convert import write_backbone
from imageproof.labels.suspects import SHOWN, TASKS, estimate, find_suspects, render

OUT = Path("suspects.csv")
MLP = {
    "train.mlp.build": {"units": [64, 32, 32], "dropout": [0.0, 0.0, 0.0]},
    "train.mlp.fit": {"epochs": 12, "batch_size": 32},
}


def find(params: Params, model: str, *, folds: int) -> str:
    ask = trainer(params, model)
    return find_suspects(ask, model, as_project(params), folds=folds, out=OUT)


@pytest.fixture
def wrong(workspace: Path, images_8x8: Dataset) -> None:
    """Packed images of which every 60th has the next class as label."""
    labels = images_8x8.labels.copy()
    labels[::60] = (labels[::60] + 1) % 10
    Path("data").mkdir()
    np.savez("data/images.npz", x_train=images_8x8.images * np.uint8(15), y_train=labels)
    write_params(SMALL | MLP)
    pack.main()


@pytest.mark.usefixtures("tensorflow", "wrong")
def test_wrong_labels_are_named_corrected_by_a_person_and_packed(
    images_8x8: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    before = packed.load(WORKSPACE.pack).rows
    suspects(context(), model="mlp", folds=2, out=OUT)
    printed = capsys.readouterr().out
    assert [f"fold {k}/2: mlp agrees with " in printed for k in (1, 2)] == [True] * 2
    assert re.search(r"mlp agrees with 9\d\.\d % of 1,797 labels: about \d+ are wrong; ", printed)
    table = pd.read_csv(OUT, dtype=str, keep_default_na=False)
    assert [*table] == [
        "file",
        "name",
        "part",
        "label",
        "suggested",
        "quality",
        "hash",
        "corrected",
    ]
    assert {*table["corrected"]} == {""}
    rows = table["name"].str.removeprefix("row ").astype(int)
    assert table["label"].tolist() == before["label"][rows].astype(str).tolist()
    assert (rows[:20] % 60 == 0).mean() > 0.8
    page = OUT.with_suffix(".html").read_text("utf-8")
    assert page.count("<img src=") == min(len(table), SHOWN)
    assert {*re.findall(r'(?:src|href)="([^"]{5})', page)} == {"data:"}
    assert not [*WORKSPACE.pack.parent.glob("digits-*")]

    table.loc[:19, "corrected"] = images_8x8.labels[rows[:20]].astype(str)
    table.to_csv(OUT, index=False)
    relabel(context(), OUT)
    pack.main()
    assert "labels corrected by data/corrections.csv" in capsys.readouterr().out
    after = packed.load(WORKSPACE.pack).rows["label"].to_numpy()
    np.testing.assert_array_equal(after[rows[:20]], images_8x8.labels[rows[:20]])
    others = np.setdiff1d(np.arange(1797), rows[:20])
    np.testing.assert_array_equal(after[others], before["label"][others])


@pytest.mark.usefixtures("wrong")
def test_suspects_by_features_where_they_are_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    flatten = [helper.make_node("Flatten", ["maps"], ["end"])]
    onnx.save(networks.network(more=flatten, outputs=["end"]), "patches.onnx")
    write_backbone(Path("patches.onnx"), networks.FORM._replace(pool=False))
    backbone = {
        "train.features.backbone": "patches",
        "train.features.backbone_sha256": sha256(Path("backbones/patches.onnx")),
    }
    write_params(SMALL | backbone | {"models": ["mlp", "features"]})
    suspects(context(), folds=2, out=OUT)
    printed = capsys.readouterr().out
    assert re.search(r"features agrees with \d\d\.\d % of 1,797 labels: ", printed)
    asked = [
        int(count.replace(",", ""))
        for count in re.findall(r"patches: asked for ([\d,]+) of", printed)
    ]
    assert sum(asked) == len({*packed.load(WORKSPACE.pack).rows["hash"]})
    first = pd.read_csv(OUT).head(30)
    wrong_labels = first["name"].str.removeprefix("row ").astype(int) % 60 == 0
    assert wrong_labels.mean() > 0.5

    tasks = json.loads(OUT.with_suffix(".json").read_text("utf-8"))
    table = pd.read_csv(OUT, dtype=str)
    assert len(tasks) == min(len(table), TASKS)
    for task, row in zip(tasks, table.itertuples(), strict=False):
        data = task["data"]
        assert data.pop("image").startswith("data:image/png;base64,")
        named = {"file": row.name, "hash": row.hash, "part": row.part, "label": row.label}
        assert data == named | {"project": "digits"}
        [prediction] = task["predictions"]
        assert prediction["result"][0]["value"]["choices"] == [row.suggested]
        assert prediction["score"] == pytest.approx(1 - float(row.quality))
    assert OUT.with_suffix(".xml").read_text("utf-8").count("<Choice value=") == 10


@pytest.mark.usefixtures("tensorflow", "wrong")
def test_model_that_agrees_with_few_labels_accuses_none() -> None:
    params = check(changed(SMALL | MLP | {"train.mlp.optimizer.learning_rate": 1e-9}))
    line = finding(DataError, lambda: find(params, "mlp", folds=2))
    assert re.match(r"mlp agrees with \d+\.\d % of the labels, too few to judge by: ", line)
    assert line.endswith("raise the epochs of train.mlp in params.yaml, or --model names another")
    assert not OUT.exists()


def test_model_that_agrees_with_too_few_estimates_nothing() -> None:
    assert estimate(61.9, 111) == "too few to say how many are wrong (80 % are needed)"
    assert estimate(80.0, 111) == "about 111 are wrong"


def test_the_page_shows_the_first_pictures_in_colour_too_and_obeys_no_name() -> None:
    row = {"file": "a", "name": '"><script>.png', "part": "train", "label": "<b>", "quality": 0.5}
    table = pd.DataFrame([row | {"suggested": "&", "corrected": ""}] * (SHOWN + 1))
    images = np.zeros((SHOWN, 4, 6, 3), np.uint8)
    page = render("1 is wrong", table, images, source="a.csv")
    assert page.count("<img src=") == SHOWN
    assert f"these are the first {SHOWN}" in page
    assert "<script" not in page
    assert "<b>" not in page


@pytest.mark.usefixtures("tensorflow", "wrong")
def test_what_cannot_be_judged_is_one_line() -> None:
    params = check(changed(SMALL))
    line = finding(UsageError, lambda: find(params, "nosuch", folds=3))
    assert line == "params.yaml models: 'nosuch' has no block train.nosuch"
    few = check(changed(SMALL | {"data.classes": 9}))
    line = finding(DataError, lambda: find(few, "mlp", folds=3))
    said = "has pictures that cannot be read, or labels outside 0…8; `digits run validate` names"
    assert line == f"artifacts/pack: {said} them"
    rows = pd.read_parquet(WORKSPACE.pack / packed.ROWS)
    rows.loc[7, "fault"] = "cut off"
    rows.to_parquet(WORKSPACE.pack / packed.ROWS)
    line = finding(DataError, lambda: find(params, "mlp", folds=3))
    assert line == f"artifacts/pack: {said.replace('0…8', '0…9')} them"
    (WORKSPACE.pack / packed.ROWS).unlink()
    line = finding(DataError, lambda: find(params, "mlp", folds=3))
    assert line == "artifacts/pack/rows.parquet: not found; `dvc repro pack` makes it"
    assert not OUT.exists()
