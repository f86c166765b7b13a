"""The same picture gets the same answer from each command and service, in grey and in colour."""

from io import BytesIO
from math import prod
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pandas as pd
import pytest
import requests
from arena import accept, fighter
from example import NAME, project_with
from helpers import linear_model, record_outputs, served
from mlflow import MlflowClient
from PIL import Image

from imageproof.answer import score as scoring
from imageproof.answer.demo import demo_app
from imageproof.answer.predict import predict_pictures
from imageproof.artifacts import WORKSPACE
from imageproof.base.dataset import Dataset, Split, save_split
from imageproof.pictures.reading import read_pictures
from imageproof.registry import promotion
from imageproof.registry.version import load_version
from imageproof.serve.app import Service
from imageproof.serve.model import load
from imageproof.serve.package import write_package

RANDOM = np.random.default_rng(3)
MODES = {
    "png": ("L", "RGB", "RGBA", "LA", "P", "1", "I;16"),
    "jpeg": ("L", "RGB", "CMYK"),
    "webp": ("RGB", "RGBA"),
    "bmp": ("L", "RGB"),
}


def write_pictures(folder, count):
    """Pictures of all formats and modes, in several sizes, some of them turned."""
    folder.mkdir()
    kinds = [(suffix, mode) for suffix, modes in MODES.items() for mode in modes]
    for number in range(count):
        suffix, mode = kinds[number % len(kinds)]
        height, width = (8, 8) if number % 5 == 0 else RANDOM.integers(6, 60, 2)
        pixels = RANDOM.integers(0, 256, (height, width, 4), np.uint8)
        image = Image.fromarray(pixels).convert("RGB" if mode == "CMYK" else "RGBA")
        if mode == "I;16":
            image = Image.fromarray(RANDOM.integers(0, 65536, (height, width), np.uint16))
        exif = Image.Exif()
        exif[0x0112] = 1 + number % 8
        options = {} if suffix == "bmp" else {"exif": exif}
        (image if mode == "I;16" else image.convert(mode)).save(
            folder / f"{number:04}.{suffix}", **options
        )
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
    run = fighter(shape=shape, network=linear_model(kernel, np.zeros(10, np.float32), shape))
    MlflowClient().log_param(run.run_id, "image.fit", fit)
    promotion.promote(run, NAME, judge=accept)


def asked(address, path):
    kind = {"Content-Type": f"image/{path.suffix[1:]}"}
    response = requests.post(f"{address}/predict", path.read_bytes(), headers=kind, timeout=20)
    assert response.status_code == 200, response.text
    return response.json()


def of_score(source, model, project):
    scoring.score(source, "scored.parquet", model, project=project, overwrite=True)
    return pd.read_parquet("scored.parquet").filter(regex="^p[0-9]").to_numpy()


@pytest.mark.parametrize("count", [100, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("shape", "fit"),
    [((8, 8), "digit"), ((8, 8), "stretch"), ((8, 8, 3), "crop"), ((8, 8, 3), "pad")],
    ids=["digit", "grey", "colour", "padded"],
)
def test_same_picture_same_answer(ring, shape, fit, count):
    promote(shape, fit)
    paths = write_pictures(Path("pictures"), count)
    images, treatments = zip(*read_pictures(paths, shape=shape, fit=fit), strict=True)
    assert {*treatments} == {"as is", fit}
    np.savez("arrays.npz", images=np.stack(images))
    project = project_with({})
    answers = {}
    with load_version(f"models:/{NAME}@champion", threads=2) as model:
        expected = model.predict(np.stack(images))
        answers["MLflow"] = model.files.load_as_served().predict(np.stack(images))["probabilities"]
        answers["score arrays"] = of_score("arrays.npz", model, project)
        answers["score files"] = of_score("pictures", model, project)
        found = predict_pictures(paths, model, coverage=0.99)
        assert [each.picture for each in found] == [*treatments]
        answers["predict"] = [each.probabilities for each in found]
        write_package(model, Path("package"), project=project)
        with served(demo_app([("champion", model)], project)) as port:
            demo = [asked(f"http://127.0.0.1:{port}", path)[0] for path in paths]
    answers["demo"] = [each["probabilities"] for each in demo]
    for each, image in zip(demo, images, strict=True):
        with urlopen(each["seen"]) as png:  # a data: address
            assert np.array_equal(Image.open(BytesIO(png.read())), image)
    with served(Service(load(Path("package"))).app()) as port:
        address = f"http://127.0.0.1:{port}"
        found = [asked(address, path)["predictions"][0] for path in paths]
        body = {"inputs": [image.tolist() for image in images]}
        arrays = requests.post(f"{address}/predict", json=body, timeout=60).json()["predictions"]
    assert [each["picture"] for each in found] == [*treatments]
    answers["package pictures"] = [each["probabilities"] for each in found]
    answers["package arrays"] = [each["probabilities"] for each in arrays]
    for way, probabilities in answers.items():
        same = (np.array(probabilities, np.float32) == expected).all(axis=1)
        assert same.sum() == count, way
    assert len(np.unique(expected, axis=0)) == count
