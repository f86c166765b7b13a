"""`imageproof package`: from a version in the registry to a folder that serves it."""

import json
import shutil
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import requests
from arena import EVEN, accept, fighter
from example import NAME, context, main, project_with, write_params
from helpers import finding
from packaged import running

from imageproof.artifacts import WORKSPACE
from imageproof.base.dataset import Dataset, Split, load_split, save_split
from imageproof.base.errors import DataError, IntegrityError, UsageError
from imageproof.base.files import folder_sha256
from imageproof.cli import answers as cli
from imageproof.registry import promotion
from imageproof.registry.version import load_version
from imageproof.serve.package import Package, write_package

OUT = Path("out/package")


@pytest.fixture
def champion(ring: Path) -> str:
    promotion.promote(fighter(EVEN), NAME, judge=accept)
    return f"models:/{NAME}/1"


def write(uri: str, **changes: object) -> Package:
    with load_version(uri, threads=1) as model:
        return write_package(model, OUT, project=project_with(changes))


def test_package_command(
    champion: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["imageproof", "package", "--out", str(OUT), "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    said = json.loads(capsys.readouterr().out)
    assert said["model"] == champion
    assert said["folder"] == str(OUT)
    assert said["rows"] == len(WORKSPACE.read_split("holdout").data)
    assert said["largest_difference"] < 1e-6
    assert said["sha256"] == folder_sha256(OUT)
    assert [path.name for path in OUT.parent.iterdir()] == [OUT.name]

    images = WORKSPACE.read_split("holdout").data.images[:1]
    with load_version(champion, threads=1) as model, running(OUT) as server:
        body = {"inputs": images.tolist()}
        response = requests.post(f"{server.address}/predict", json=body, timeout=20).json()
        [answer] = response["predictions"]
        assert np.abs(answer["probabilities"] - model.predict(images)[0]).max() < 1e-6
        assert response["model"] == f"{NAME} 1"
        described = requests.get(f"{server.address}/model", timeout=20).json()
        assert described["model_sha256"] == model.origin.model_sha256
        # of 100 true classes with probabilities from 0.5 to 1, one may be missed
        assert described["confidence"] == {"coverage": 0.99, "threshold": pytest.approx(0.5)}
    assert champion in (OUT / "MODEL_CARD.md").read_text("utf-8")


def test_refused_package_writes_nothing(champion: str) -> None:
    path = WORKSPACE.split("holdout")
    split = load_split(path)
    unlabelled = Dataset(split.data.images, np.zeros_like(split.data.labels))
    save_split(other := path.with_name("other.npz"), Split(unlabelled, split.rows))
    del split, unlabelled  # maps of a file that is changed below
    for damage, error, says in (
        (partial(path.write_bytes, b"PK"), IntegrityError, "md5 "),
        (partial(shutil.move, other, path), IntegrityError, "md5 "),
        (path.unlink, DataError, "not"),
    ):
        damage()
        before = sorted(Path().rglob("*"))
        assert finding(error, lambda: write(champion)).startswith(f"{path}: {says}")
        assert sorted(Path().rglob("*")) == before


def test_folder_that_exists_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    line = finding(UsageError, lambda: cli.package(context(), out=tmp_path))
    assert line == f"--out {tmp_path}: exists; delete it, or choose another name"


def test_class_names_are_those_that_the_model_was_logged_with(ring: Path) -> None:
    first, later = list("abcdefghij"), list("klmnopqrst")
    write_params({"data.class_names": first})
    promotion.promote(fighter(), NAME, judge=accept)
    write(f"models:/{NAME}/1", **{"data.class_names": later})
    assert json.loads((OUT / "model.json").read_text())["class_names"] == first


def test_other_answers_are_not_packaged(champion: str, monkeypatch: pytest.MonkeyPatch) -> None:
    project = project_with({})
    with load_version(champion, threads=1) as model:
        right = model.predict
        for wrong in (lambda x: right(x)[:, ::-1], lambda x: right(x) + np.float32(1e-4)):
            monkeypatch.setitem(model.__dict__, "predict", wrong)
            assert "differ from the model's by up to" in finding(
                IntegrityError, lambda: write_package(model, OUT, project=project)
            )
    assert [*OUT.parent.iterdir()] == []
