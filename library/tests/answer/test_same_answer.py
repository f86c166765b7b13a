"""The same picture gets the same answer from each command and service, in grey and in colour."""

from math import prod
from pathlib import Path

import arena
import numpy as np
import pandas as pd
import pytest
from example import NAME
from helpers import linear_model, record_outputs
from mlflow import MlflowClient
from packaged import within
from PIL import Image

from imageproof.answer import _score as scoring
from imageproof.answer._demo import demo_app
from imageproof.answer._predict import predict_pictures
from imageproof.answer._serve import mlflow_app
from imageproof.artifacts import WORKSPACE
from imageproof.base._dataset import Dataset, Split, save_split
from imageproof.pages._templates import data_uri
from imageproof.pictures._reading import read_pictures
from imageproof.registry._version import load_version
from imageproof.serve._app import Service
from imageproof.serve._model import load
from imageproof.serve._package import write_package
from imageproof.system._bodies import MAX_BYTES

COUNT = 40  # twice each kind of picture in the size of the model, and in others
RANDOM = np.random.default_rng(3)
KINDS = [("png", "L"), ("png", "LA"), ("png", "P"), ("jpeg", "RGB"), ("webp", "RGBA")]


def write_pictures(folder):
    """Pictures of several kinds and sizes; see `test_pictures` for more."""
    folder.mkdir()
    for number in range(COUNT):
        suffix, mode = KINDS[number % len(KINDS)]
        size = (8, 8) if number % 4 == 0 else RANDOM.integers(6, 60, 2)
        picture = Image.fromarray(RANDOM.integers(0, 256, (*size, 4), np.uint8)).convert(mode)
        picture.save(folder / f"{number:04}.{suffix}")
    return sorted(folder.iterdir())


def promote(shape, fit):
    """A champion each of whose probabilities depends on every value of an image, exactly."""
    holdout, rows = WORKSPACE.read_split("holdout")
    images = RANDOM.integers(0, 256, (len(rows), *shape), np.uint8)
    data = Dataset(images, np.array(holdout.labels))  # no map of the file that is replaced
    save_split(WORKSPACE.split("holdout"), Split(data, np.array(rows)))
    record_outputs()
    # sums of these have less than 24 bits, so no order of adding changes them
    kernel = RANDOM.integers(-20, 21, (prod(shape), 10)).astype(np.float32) / 2**13
    run = arena.fighter(shape=shape, network=linear_model(kernel, np.zeros(10, np.float32), shape))
    MlflowClient().log_param(run.run_id, "image.fit", fit)
    arena.promote(run, arena.accept)


def ask(client, path):
    response = client.post("/predict", path.read_bytes(), f"image/{path.suffix[1:]}")
    assert response.status_code == 200, response.text
    return response.json()


def score(source, model):
    scoring.score(source, "scored.parquet", model, coverage=0.99, overwrite=True)
    return pd.read_parquet("scored.parquet")


@pytest.mark.parametrize(("shape", "fit"), [((8, 8), "digit"), ((8, 8, 3), "pad")])
def test_same_picture_same_answer(ring, shape, fit):
    promote(shape, fit)
    paths = write_pictures(Path("pictures"))
    images, treatments = zip(*read_pictures(paths, shape=shape, fit=fit), strict=True)
    assert {*treatments} == {"as is", fit}
    images = np.stack(images)
    np.savez("arrays.npz", images=images)
    answers = {}
    with load_version(f"models:/{NAME}@champion", threads=2) as model:
        expected = model.predict(images)
        answers["MLflow"] = model.files.load_as_served().predict(images)["probabilities"]
        answers["score arrays"] = score("arrays.npz", model).filter(regex="^p[0-9]")
        scored = score("pictures", model)
        answers["score files"] = scored.filter(regex="^p[0-9]")
        predictions, inputs = predict_pictures(paths, model, 0.99)
        assert np.array_equal(inputs, images)
        answers["predict"] = [answer.probabilities for answer in predictions]
        write_package(model, Path("package"), coverage=0.99)
        with within(demo_app([("champion", model)], NAME)) as client:
            replies = [ask(client, path)[0] for path in paths]
    with within(Service(load(Path("package"))).app()) as client:
        served = [ask(client, path)["predictions"][0] for path in paths]
        predictions_of_arrays = client.predict(images)
    records = {"demo": replies, "package pictures": served, "package": predictions_of_arrays}
    answers |= {way: [row["probabilities"] for row in rows] for way, rows in records.items()}
    assert [answer.picture for answer in predictions] == [*treatments]
    assert [answer["picture"] for answer in served] == scored["picture"].tolist() == [*treatments]
    assert [answer["seen"] for answer in replies] == [*map(data_uri, images)]
    for way, probabilities in answers.items():
        assert np.array_equal(np.float32(probabilities), expected), way
    assert len(np.unique(expected, axis=0)) == COUNT


def test_mlflow_s_server_refuses(ring):
    arena.promote(arena.fighter(last="Log"), arena.accept)  # NaN and infinity
    _, app = mlflow_app(f"models:/{NAME}@champion")
    with within(app) as client:
        assert client.post("/invocations", bytes(MAX_BYTES + 1)).status_code == 413
        response = client.post("/invocations", {"inputs": np.ones((2, 8, 8)).tolist()})
    assert response.status_code == 500
    assert "2 of 2 answers are no probabilities" in response.json()["message"]
