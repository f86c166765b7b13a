"""A version that answers: what is wrong with it is named."""

from pathlib import Path

import numpy as np
import pytest
from arena import NAME, accept, fighter, sign
from ruamel.yaml import YAML
from support import finding

from digits.toolkit import inference
from digits.toolkit.errors import IntegrityError
from digits.toolkit.inference import Network
from digits.toolkit.registry import promotion
from digits.toolkit.registry.served import served


def predict(uri):
    with served(uri, threads=2) as model:
        return model.predict(np.zeros((1, 8, 8), np.uint8))


TENSOR = '[{{"type": "tensor", "tensor-spec": {{"dtype": "{}", "shape": {}}}}}]'


@pytest.mark.parametrize(
    "signature",
    [
        None,
        {"inputs": '[{"type": "double", "name": "ink", "required": true}]'},
        {"inputs": TENSOR.format("uint8", "[-1, 64]"), "outputs": TENSOR.format("int64", "[]")},
    ],
)
def test_a_model_that_takes_no_images_is_named(ring, signature):
    model = fighter()
    promotion.promote(model, NAME, judge=accept)
    [described] = Path("mlartifacts").rglob("MLmodel")
    content = YAML(typ="safe").load(described)
    YAML().dump({**content, "signature": signature}, described)
    sign(model, "1")
    line = finding(IntegrityError, lambda: predict(f"models:/{NAME}/1"))
    assert line.startswith("models:/digits/1: MLmodel does not describe it (")


def test_model_that_fails_is_named(ring, monkeypatch):
    promotion.promote(fighter(), NAME, judge=accept)
    network = Network((8, 8), 10, lambda _: [].pop())
    monkeypatch.setattr(inference, "load", lambda *_, **__: network)
    line = finding(IntegrityError, lambda: predict(f"models:/{NAME}/1"))
    assert line == "models:/digits/1: gives no answer (pop from empty list)"


def test_answers_that_are_no_probabilities_are_named(ring):
    promotion.promote(fighter(last="Identity"), NAME, judge=accept)
    line = finding(IntegrityError, lambda: predict(f"models:/{NAME}/1"))
    assert line.startswith("models:/digits/1: 1 of 1 answers are no probabilities (")
