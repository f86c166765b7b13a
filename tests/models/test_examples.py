"""The networks of examples/models, copied as a user copies them: file and block."""

import re
import sys

import numpy as np
import pytest
from ruamel.yaml import YAML
from support import REPOSITORY

from imageproof.artifacts import WORKSPACE
from imageproof.base import _inference

EXAMPLES = REPOSITORY / "examples" / "models"
BLOCKS = {
    path.stem: YAML(typ="safe").load(path.read_text("utf-8"))[path.stem]
    for path in EXAMPLES.glob("*.yaml")
}

pytestmark = pytest.mark.usefixtures("tensorflow", "copied")


@pytest.fixture
def copied(add_models, monkeypatch):
    """The files lie among those of the models, until the end of the test."""
    add_models({path.stem: path.read_text("utf-8") for path in EXAMPLES.glob("*.py")})
    for name in BLOCKS:
        monkeypatch.setitem(sys.modules, f"digits.models.{name}", None)
        del sys.modules[f"digits.models.{name}"]


def test_each_file_has_a_block():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == BLOCKS.keys()


@pytest.mark.parametrize(
    "name", [pytest.param("best", marks=pytest.mark.slow), "mlp_pca", "sprint"]
)
def test_stage_trains_a_copied_example(project, name):
    from digits.stages import train

    block = (EXAMPLES / f"{name}.yaml").read_text("utf-8")
    pasted = re.sub(r"epochs: \d+", "epochs: 2\n      keep: best", block)
    params = project / "params.yaml"
    params.write_text(params.read_text("utf-8").replace("\ntrain:\n", f"\ntrain:\n{pasted}"))
    train.main(name)
    outputs = WORKSPACE.trained(name)
    losses = [epoch["val_loss"] for epoch in outputs.read_history()]
    assert len(losses) == 2
    assert outputs.read_metrics()["kept_epoch"] == np.argmin(losses) + 1
    network = _inference.load(outputs.model, threads=1)
    assert (network.shape, network.classes) == ((8, 8), 10)
