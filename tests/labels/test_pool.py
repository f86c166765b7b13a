"""`digits to-label`: from a folder of pictures and a champion to tasks of Label Studio."""

import json
from functools import partial
from io import BytesIO
from pathlib import Path
from shutil import copy, rmtree
from urllib.request import urlopen
from xml.etree import ElementTree

import networks
import numpy as np
import pytest
from arena import accept, fighter
from exports import digest, put
from helpers import LINEAR, finding, onnx_model
from PIL import Image
from support import NAME, context, write_params

from digits.project import load_project
from digits.stages import pack
from imageproof.base.errors import DataError, UsageError
from imageproof.cli._labelling import to_label
from imageproof.features._graph import Head, classifier, feature_graph
from imageproof.labels._pool import write_chosen
from imageproof.registry import _promotion
from imageproof.registry._version import load_version

SHAPE = (16, 16)
CLASSES = ["cat", "dög & co", "é"]
POOL = Path("to do")
OUT = Path("tasks.json")
URI = f"models:/{NAME}@champion"


def pictures():
    """120 pictures that are not in the data."""
    return [POOL / f"Bücher {number % 5}" / f"Bild {number}.png" for number in range(120)]


@pytest.fixture(autouse=True)
def data(tracked):
    """Packed pictures of three classes, and a pool of 120 others."""
    names = [Path("data", CLASSES[number % 3], f"{number}.png") for number in range(9)]
    for seed, path in enumerate([*names, *pictures()]):
        put(path, seed, 16)
    write_params({"data.classes": 3, "data.image.fit": "stretch"})
    pack.main()


def with_backbone():
    networks.write_standin()
    rng = np.random.default_rng(1)
    head = Head(rng.normal(0, 2, (networks.CHANNELS, 3)), np.zeros(3))
    features = feature_graph(networks.load(), SHAPE)
    return classifier(features, head, temperature=1.0, name="standin")


def without_features():
    kernel = np.random.default_rng(1).normal(0, 0.001, (16 * 16, 3)).astype(np.float32)
    text = LINEAR.replace("features", "pixels").format(shape="16,16", classes=3, last="Softmax")
    return onnx_model(text, kernel=kernel, bias=np.zeros(3, np.float32))


def promote(network):
    calibration = np.linspace(0.4, 1, 99, dtype=np.float32)
    run = fighter(shape=SHAPE, classes=3, network=network, calibration=calibration)
    _promotion.promote(run, NAME, judge=accept)


def choose(count=20):
    with load_version(URI, threads=1) as model:
        return write_chosen(POOL, model, load_project(), count=count, out=OUT)


def tasks():
    return json.loads(OUT.read_bytes())


def test_tasks_have_picture_prediction_and_what_brings_them_back():
    promote(with_backbone())
    (POOL / "photo.heic").write_bytes(b"none that is read")
    assert choose() == [
        "to do: 120 pictures that can be read and are not in the data, of 121 files",
        "16 of them that models:/digits/1 is least sure of, spread out: for training only",
        "4 of them at random: for any part",
    ]
    paths = sorted(pictures())
    with load_version(URI, threads=1) as model:
        answers = model.predict(np.stack([np.asarray(Image.open(path)) for path in paths]))
    runner_up, best = np.sort(answers, axis=1)[:, -2:].T
    order = np.argsort(best - runner_up)
    uncertain = {paths[row] for row in order[: 3 * 16 + 4]}  # some of them are drawn at random
    data = [task["data"] for task in tasks()]
    chosen = {POOL / entry["file"] for entry in data if entry["only_train"] == "yes"}
    assert len(chosen) == 16
    assert chosen <= uncertain

    task = tasks()[0]
    path = POOL / task["data"]["file"]
    row = paths.index(path)
    assert task["data"].items() >= {"hash": digest(path), "project": NAME}.items()
    with urlopen(task["data"]["image"]) as picture:  # a data URI
        image = Image.open(BytesIO(picture.read()))
    assert (image.format, image.size) == ("JPEG", (512, 512))
    [prediction] = task["predictions"]
    [result] = prediction["result"]
    assert prediction["model_version"] == "models:/digits/1"
    assert prediction["score"] == pytest.approx(answers[row].max())
    assert result["value"]["choices"] == [CLASSES[answers[row].argmax()]]
    choices = ElementTree.parse(OUT.with_suffix(".xml")).iter("Choice")
    assert [choice.get("value") for choice in choices] == CLASSES


def test_pictures_of_the_data_copies_and_broken_ones_are_left_out():
    promote(without_features())
    *kept, first, second, third = pictures()
    for path in kept[:-7]:  # 10 are left
        path.unlink()
    Image.open("data/cat/0.png").save(POOL / "other name.bmp")
    copy(first, POOL / "copy.png")
    Image.open(second).save(POOL / "near.jpg", quality=95)
    (POOL / "broken.png").write_bytes(b"\x89PNG")
    readable, chosen, _ = choose(200)
    assert readable.startswith("to do: 11 pictures")  # with the near copy
    assert "8 of them" in chosen
    names = [task["data"]["file"] for task in tasks()]
    assert names == sorted(names)  # which says nothing of the model
    files = {POOL / name for name in names}
    assert len(files) == 10
    assert len(files & {POOL / "near.jpg", second}) == 1
    assert len(files & {POOL / "copy.png", first}) == 1
    assert {*kept[-7:], third} <= files


def random_files():
    choose()
    return {task["data"]["file"] for task in tasks() if not task["data"]["only_train"]}


def test_pools_of_one_size_get_random_pictures_of_other_ranks():
    promote(without_features())
    files = random_files()
    pixels = np.array(Image.open(pictures()[0]))
    pixels[0, 0] ^= 1  # its rank stays
    Image.fromarray(pixels).save(pictures()[0])
    assert random_files() != files


def test_refusals_are_one_line():
    promote(without_features())
    for path in pictures():
        path.unlink()
    (POOL / "broken.png").write_bytes(b"")
    assert finding(DataError, choose).startswith("to do: 1 files, of which none can")
    Path("data/dög & co").rename("data/dog")
    pack.main()
    assert finding(DataError, choose) == (
        "models:/digits/1: knows the classes cat, dög & co, é, the data has cat, dog, é; "
        "--model names another"
    )
    assert not OUT.exists()


def test_data_that_takes_no_picture_is_refused_before_any_is_chosen():
    promote(without_features())
    rmtree("data")
    Path("data").mkdir()
    np.savez("data/images.npz", x_train=np.zeros((3, 16, 16), np.uint8), y_train=np.arange(3))
    assert finding(DataError, choose).startswith("data: no picture can be added to it; ")


def test_command_overwrites_nothing():
    promote(without_features())
    to_label(context(), POOL, images=5, model="models:/digits/1", out=OUT)
    again = partial(to_label, context(), POOL, images=5, out=OUT)
    assert finding(UsageError, again).startswith("--out tasks.json: ")
    OUT.unlink()
    assert finding(UsageError, again).startswith("--out tasks.xml: ")
