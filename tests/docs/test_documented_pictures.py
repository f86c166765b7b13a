"""The picture of the pipeline shows the stages of dvc.yaml; the one to predict is a clear digit."""

import re
import subprocess
import sys
from html import unescape
from pathlib import Path

import networkx as nx
import pytest
from ruamel.yaml import YAML
from support import PARAMS, REPOSITORY

from imageproof.base import _inference
from imageproof.judge.confidence import answer_sets, threshold
from imageproof.outputs import read_calibration
from imageproof.pictures._reading import read_pictures

Arrows = set[tuple[str, str]]


def any_model(stage):
    """The name of a stage without its model: which models there are is free."""
    return stage.partition("@")[0]


def arrows(text, pattern):
    return {(any_model(a), any_model(b)) for a, b in re.findall(pattern, text)}


def test_pipeline_picture_has_arrows_of_dvc():
    dvc = Path(sys.executable).with_name("dvc")
    drawn = subprocess.run(
        [dvc, "dag", "--dot"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    graph = nx.DiGraph(arrows(drawn.stdout, r'"(.+)" -> "(.+)";'))
    svg = unescape((REPOSITORY / "docs/pictures/pipeline.svg").read_text("utf-8"))
    picture = arrows(svg, r"<title>(.+?)->(.+?)</title>")
    assert picture == set(nx.transitive_reduction(graph).edges)


def published_or_here(out):
    """The file that dvc.lock names: after `make run` here it may be another one than published."""
    stored = REPOSITORY / "dvc-store/files/md5" / out["md5"][:2] / out["md5"][2:]
    return stored if stored.exists() else REPOSITORY / out["path"]


@pytest.mark.parametrize("model", PARAMS["models"])
def test_the_picture_to_predict_is_a_sure_5(model):
    lock = YAML(typ="safe").load(REPOSITORY / "dvc.lock")["stages"][f"train@{model}"]["outs"]
    files = {Path(out["path"]).name: published_or_here(out) for out in lock}
    [(picture, _)] = read_pictures(
        [REPOSITORY / "docs/pictures/digit.png"], shape=(28, 28), fit="digit"
    )
    probabilities = _inference.load(files["model.onnx"], threads=1).predict(picture[None])
    truth = read_calibration(files["calibration.npz"]).truth_probabilities
    (chosen,) = answer_sets(probabilities, threshold(truth, PARAMS["confidence"]["coverage"]))
    assert chosen.nonzero()[0].tolist() == [5]
