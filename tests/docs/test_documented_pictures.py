"""The picture of the pipeline shows the stages of dvc.yaml."""

import re
import subprocess
import sys
from html import unescape
from pathlib import Path

import networkx as nx
from support import REPOSITORY


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
