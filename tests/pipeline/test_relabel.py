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
from support import SMALL, context, write_params

from digits.project import load_project
from digits.stages import pack
from imageproof.artifacts import WORKSPACE
from imageproof.base.errors import DataError
from imageproof.base.files import sha256
from imageproof.cli._labelling import relabel, suspects
from imageproof.data import packed
from imageproof.features._convert import write_backbone
from imageproof.labels._suspects import SHOWN, estimate, find_suspects
from imageproof.pages._templates import data_uri

OUT = Path("suspects.csv")
COLUMNS = ["file", "name", "part", "label", "suggested", "quality", "hash", "corrected"]


@pytest.fixture
def labels(workspace, images_8x8):
    """Those of packed images, every 60th the next class, and a backbone that gives patches."""
    network = networks.network("end = Flatten(maps)", outputs=networks.VECTOR)
    onnx.save(network, "patches.onnx")
    digest = sha256(write_backbone(Path("patches.onnx"), networks.FORM._replace(pool=False)))
    backbone = {"train.features.backbone": "patches", "train.features.backbone_sha256": digest}
    write_params(SMALL | backbone | {"models": ["mlp", "features"]})
    labels = images_8x8.labels.copy()
    labels[::60] = (labels[::60] + 1) % 10
    Path("data").mkdir()
    np.savez("data/images.npz", x_train=images_8x8.images * np.uint8(15), y_train=labels)
    pack.main()
    return labels


def test_wrong_labels_are_named_corrected_by_a_person_and_packed(labels, images_8x8, capsys):
    suspects(context(), folds=2, out=OUT)
    printed = capsys.readouterr().out
    assert all(f"fold {k}/2: features agrees with " in printed for k in (1, 2))
    summary = r"features agrees with 9\d\.\d\d % of 1,797 labels: about \d+ are wrong; "
    assert re.search(summary, printed)
    counts = re.findall(r"patches: asked for (\d+) of", printed.replace(",", ""))
    data = packed.load(WORKSPACE.pack)
    assert sum(map(int, counts)) == data.rows["hash"].nunique()
    table = pd.read_csv(OUT, dtype=str, keep_default_na=False)
    rows = table["name"].str.removeprefix("row ").astype(int)
    assert [*table] == COLUMNS
    assert {*table["corrected"]} == {""}
    assert table["label"].tolist() == labels[rows].astype(str).tolist()
    assert (rows[:20] % 60 == 0).mean() > 0.8
    assert not [*WORKSPACE.pack.parent.glob("digits-*")]

    page = OUT.with_suffix(".html").read_text("utf-8")
    pictures = [data_uri(data.images[row]) for row in rows[:SHOWN]]
    assert re.findall('<img src="(.+?)"', page) == pictures
    tasks = json.loads(OUT.with_suffix(".json").read_text("utf-8"))
    for task, row in zip(tasks, table.to_dict("records"), strict=False):
        [prediction] = task["predictions"]
        assert prediction["result"][0]["value"]["choices"] == [row["suggested"]]
        assert prediction["score"] == pytest.approx(1 - float(row["quality"]))

    table.loc[:19, "corrected"] = images_8x8.labels[rows[:20]].astype(str)
    table.to_csv(OUT, index=False)
    relabel(context(), OUT)
    pack.main()
    assert "labels corrected by data/corrections.csv" in capsys.readouterr().out
    labels[rows[:20]] = images_8x8.labels[rows[:20]]
    np.testing.assert_array_equal(packed.load(WORKSPACE.pack).rows["label"], labels)


@pytest.mark.usefixtures("labels")
def test_what_cannot_be_judged_is_one_line():
    def refusal():
        return finding(DataError, find_suspects, ask, "mlp", load_project(), folds=2, out=OUT)

    def ask(_, images):
        return np.full((len(images), 10), 0.1, np.float32)

    line = refusal()
    assert re.match(r"mlp agrees with \d+\.\d % of the labels, too few to judge by: ", line)
    path = WORKSPACE.pack / packed.ROWS
    rows = pd.read_parquet(path)
    rows.loc[7, "fault"] = "cut off"
    rows.to_parquet(path)
    assert refusal().startswith("artifacts/pack: has pictures that cannot be read, or labels ")


def test_model_that_agrees_with_too_few_estimates_nothing():
    assert estimate(61.9, 111) == "too few to say how many are wrong (80 % are needed)"
    assert estimate(80.0, 111) == "about 111 are wrong"
