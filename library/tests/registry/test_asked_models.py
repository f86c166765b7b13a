"""Hand-made ONNX models: none becomes champion that answers a request in its own way."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import arena
import mlflow
import numpy as np
import onnx
import pytest
from arena import fighter, gate
from example import NAME
from helpers import finding, onnx_model

from imageproof.artifacts import WORKSPACE
from imageproof.base.errors import BusyError, DataError, ImageproofError, IntegrityError
from imageproof.outputs import TrainOutputs
from imageproof.registry._version import load_version
from imageproof.registry._versions import Registry, find
from imageproof.serve._package import write_package

GRAPH = """
<ir_version: 8, opset_import: ["" : 17]>
hand_made (uint8[{n},8,8] images) => ({outputs})
{{
  values = Cast<to: int = 1>(images)
  pixels = Flatten(values)
  logits = Gemm(pixels, kernel, bias)
  {nodes}
}}
"""
COUNT = """
  shape = Shape(images)
  zero = Constant<value_int: int = 0>()
  limit = Constant<value_int: int = {limit}>()
  count = Gather(shape, zero)
  off = {compare}(count, limit)
  factor = Cast<to: int = 1>(off)
  push = Mul(factor, first)
  moved = Add(logits, push)
  probabilities = Softmax(moved)
"""
NAN_ON_BLACK = """
  most = ReduceMax<axes: ints = [1], keepdims: int = 1>(pixels)
  share = Div(most, most)
  scaled = Mul(logits, share)
  probabilities = Softmax(scaled)
"""
NAN_ON_WHITE = """
  white = Constant<value_float: float = 255.0>()
  least = ReduceMin<axes: ints = [1], keepdims: int = 1>(pixels)
  room = Sub(white, least)
  share = Div(room, room)
  scaled = Mul(logits, share)
  probabilities = Softmax(scaled)
"""
SOFTMAX = "probabilities = Softmax(logits)"
HALF = """
  softened = Softmax(logits)
  half = Cast<to: int = 10>(softened)
  probabilities = Cast<to: int = 1>(half)
"""
RANDOM = """
  noise = RandomUniformLike<high: float = 20.0>(logits)
  noisy = Add(logits, noise)
  probabilities = Softmax(noisy)
"""
IN_TRAINING = """
  normal, mean, variance =
    BatchNormalization<training_mode: int = 1>(logits, ones, zeros, zeros, ones)
  probabilities = Softmax(normal)
"""
SLOW = """
  zero_logits = Sub(logits, logits)
  count = Constant<value_int: int = 1000>()
  going = Constant<value: tensor = bool {1}>()
  last = Loop<body: graph = turn (int64 i, bool on, float[n,10] x) => (bool on_, float[n,10] y) {
    on_ = Identity(on)
    y = Abs(x)
  }>(count, going, zero_logits)
  moved = Add(logits, last)
  probabilities = Softmax(moved)
"""
RESERVED = (
    "class = Identity(logits) best_class = Identity(class) class_names = Softmax(best_class) "
)
ONE_ROW = (
    "all = Softmax(logits) probabilities = ReduceMean<axes: ints = [0], keepdims: int = 1>(all)"
)
GOOD = {"half precision": HALF}
RENAMED = {  # in what is logged
    "our names": f"{RESERVED} probabilities = Identity(class_names)",
    "own output class": f"class = Identity(pixels) {SOFTMAX}",
}
BAD = {
    "normalised in training": IN_TRAINING,
    "class 0 alone": COUNT.format(compare="Equal", limit=1),
    "class 0 in fives": COUNT.format(compare="Equal", limit=5),
    "class 0 in large batches": COUNT.format(compare="Greater", limit=100),
    "random": RANDOM,
    "input of 50 images": SOFTMAX,
    "nan on black": NAN_ON_BLACK,
    "nan on white": NAN_ON_WHITE,
    "one row for all": ONE_ROW,
    "no sum of 1": "probabilities = Sigmoid(logits)",
    "wrong Gemm": f"other = Gemm(pixels, kernel, table) {SOFTMAX}",
}
NODES = GOOD | RENAMED | BAD | {"two outputs": SOFTMAX, "slow": SLOW}
OUTPUTS = {
    "own output class": "float[n,10] probabilities, float[n,10] class",
    "two outputs": "float[n,10] probabilities, float[n,10] logits",
}


CODES = 100 + np.arange(10, dtype=np.float32)
WEIGHTS = {
    "kernel": np.outer(np.eye(64, dtype=np.float32)[0], 20 * CODES),
    "bias": -10 * CODES**2,
    "first": np.float32(1e6) * np.eye(10, dtype=np.float32)[0],
    "zeros": np.zeros(10, np.float32),
    "ones": np.ones(10, np.float32),
    "table": np.zeros(200, np.float32),
}


def hand_made(name):
    """A model that reads the label off the first pixel, as those of `arena`."""
    outputs = OUTPUTS.get(name, "float[n,10] probabilities")
    n = 50 if name == "input of 50 images" else "n"
    text = GRAPH.format(nodes=NODES[name], outputs=outputs, n=n)
    weights = {key: values for key, values in WEIGHTS.items() if key in text}
    return onnx_model(text, **weights)


@pytest.fixture
def busy():
    """One processor for this process and two others that always work."""
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system cannot bind a process to a processor")
    processors = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(processors)})
    workers = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    yield
    for worker in workers:
        worker.kill()
        worker.wait()
    os.sched_setaffinity(0, processors)


def test_unsound_models_are_told(ring):
    holdout = WORKSPACE.read_split("holdout").data
    outputs = TrainOutputs(Path())
    for name in GOOD | RENAMED | BAD:
        onnx.save(hand_made(name), outputs.model)
        if name in BAD:
            line = finding(ImageproofError, outputs.check_answers, holdout)
            assert line.endswith("; build it of other layers"), name
        else:
            outputs.check_answers(holdout)


def test_own_names_of_a_promoted_model_collide_with_none(ring):
    holdout = WORKSPACE.read_split("holdout").data
    for name in RENAMED:
        assert arena.promote(fighter(network=hand_made(name)), gate()).move
        answers = mlflow.pyfunc.load_model(f"models:/{NAME}@champion").predict(holdout.images[:5])
        assert [*answers["class"]] == [str(label) for label in holdout.labels[:5]]


def test_training_of_unreadable_model_fails(ring):
    line = finding(DataError, fighter, network=hand_made("two outputs"))
    assert "one input images uint8" in line


def test_unsound_model_is_neither_promoted_nor_packaged(ring):
    run = fighter(network=hand_made("class 0 alone"))
    text = "asked alone: 174 of 200 images get other answers than in one batch; "
    outcome = arena.promote(run, gate())
    assert outcome.decision.failed == ["answers"]
    assert outcome.decision.checks[0].found.startswith(text)
    with load_version(f"models:/{NAME}/1", threads=1) as model:
        work = partial(write_package, model, Path("package"), coverage=0.99)
        assert finding(IntegrityError, work).startswith(f"models:/{NAME}/1: {text}")
    assert not Path("package").exists()


@pytest.mark.slow
def test_latency_on_a_busy_machine_is_not_judged(ring, busy):
    work = partial(arena.promote, fighter(network=hand_made("slow")))
    line = finding(BusyError, work, judge=gate({"promote.max_latency_ms": 0.001}))
    assert line.startswith("promote.max_latency_ms: not measured, as this machine is busy: ")
    assert not Registry(NAME).champion()
    assert "imageproof.gate" not in find(f"models:/{NAME}/1").tags
    assert work(judge=gate({"promote.max_latency_ms": 10_000})).move
