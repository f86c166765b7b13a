"""The same images, asked in every way there is: each way must give the same answers."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.markdown import table
from benchmarks.servers import Target, mlflow_server, package, package_server
from benchmarks.workspace import Workspace
from imageproof.base._dataset import Images, Probabilities

OTHER_MODELS = ("best",)  # an example, trained here; DVC's remote has the others
SPLITS = ("test", "holdout")
BATCH = 100  # images in a request


def measure_answers(workspace: Workspace) -> Iterator[dict[str, Any]]:
    """How many answers of each way name another class than ONNX Runtime, and by how much.

    Yields the result so far after each model.
    """
    workspace.pull()
    images = np.concatenate([workspace.images(split) for split in SPLITS])
    models = {}
    for model in (*workspace.models, *OTHER_MODELS):
        if model in OTHER_MODELS:
            workspace.add_example(model)
            workspace.run(sys.executable, "-m", "digits.stages.train", model)
        models[model] = _differences(workspace, model, images)
        yield {"rows": len(images), "models": models}


def _differences(workspace: Workspace, model: str, images: Images) -> dict[str, dict[str, float]]:
    """By way of asking: rows of another class, and the largest difference of a probability."""
    from imageproof.base import _inference

    uri = workspace.register(model)
    folder = package(workspace, model)
    with ExitStack() as running:
        ways: dict[str, Callable[[Images], Probabilities]] = {
            "the .keras file": partial(_keras, workspace, model),
            "digits score": partial(_score, workspace, uri),
            "digits predict": partial(_predict, workspace, uri),
            "mlflow models serve": partial(
                _post, running.enter_context(mlflow_server(workspace, uri))
            ),
            "the package": partial(_post, running.enter_context(package_server(workspace, folder))),
        }
        expected = _inference.load(workspace.outputs(model).model, threads=1).predict(images)
        answers = {name: way(images) for name, way in ways.items()}
    return {
        name: {
            "other_classes": int((answer.argmax(axis=1) != expected.argmax(axis=1)).sum()),
            "largest_difference": float(np.abs(answer - expected).max()),
        }
        for name, answer in answers.items()
    }


def _keras(workspace: Workspace, model: str, images: Images) -> Probabilities:
    import keras

    path = workspace.outputs(model).keras
    predicted = keras.saving.load_model(path, compile=False).predict(images, verbose=0)
    return np.asarray(predicted)


def _score(workspace: Workspace, uri: str, images: Images) -> Probabilities:
    import pandas as pd

    np.savez(workspace.root / "rows.npz", images=images)
    out = workspace.root / "rows.parquet"
    out.unlink(missing_ok=True)
    workspace.run("digits", "score", "rows.npz", "--model", uri, "--out", str(out))
    return pd.read_parquet(out).filter(regex=r"^p\d+$").to_numpy()


def _predict(workspace: Workspace, uri: str, images: Images) -> Probabilities:
    """By `digits predict`, of a picture for each image."""
    names = [f"{number}.png" for number in range(len(images))]
    for name, image in zip(names, images, strict=True):
        Image.fromarray(image).save(workspace.root / name)
    printed = workspace.run("digits", "predict", *names, "--model", uri, "--json").printed
    return np.array([answer["probabilities"] for answer in json.loads(printed)["answers"]])


def _post(target: Target, images: Images) -> Probabilities:
    """By HTTP, a batch at a time."""
    starts = range(0, len(images), BATCH)
    return np.concatenate([target.post(images[start : start + BATCH]) for start in starts])


def answers_section(part: dict[str, Any]) -> str:
    models = part["models"]
    ways = list(next(iter(models.values())))
    body = [
        [
            way,
            *(
                f"{model[way]['other_classes']} · {model[way]['largest_difference']:.1g}"
                for model in models.values()
            ),
        ]
        for way in ways
    ]
    return f"""## The same answers everywhere

{part["rows"]:,} images (test and hold-out), asked in each way, against ONNX Runtime in process:
how many answers name another class, and the largest difference of a probability.

{table(["asked by", *models], body)}"""
