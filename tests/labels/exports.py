"""What is read of an export of Label Studio: JSON of the tasks that it has imported."""

import json

import numpy as np
from PIL import Image

from imageproof.labels._studio import Prediction, task
from imageproof.pictures._reading import read_and_hash

AT = "2026-11-30T16:18:02.660930Z"
PREDICTION = Prediction("models:/digits/3", "cat", 0.5)


def put(path, seed, side=8):
    """Save a grey picture of noise."""
    pixels = np.random.default_rng(seed).integers(256, size=(side, side), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def digest(path):
    return read_and_hash(path, shape=(8, 8), fit="stretch")[1].hex()


def imported(folder, file, **data):
    """The task of a picture in a folder."""
    values = {"file": file, "hash": digest(folder / file), "only_train": "yes"}
    return task(folder / file, PREDICTION, **(values | data))


def annotation(*labels, by=1, at=AT, skipped=False):
    """What a person says of a picture: one class, none, or several."""
    result = {"type": "choices", "value": {"choices": [*labels]}}
    return {
        "completed_by": by,
        "result": [result] if labels else [],
        "was_cancelled": skipped,
        "updated_at": at,
    }


def exported(tasks, *annotations):
    """The tasks with the annotations of each."""
    return [
        {"id": number, "annotations": votes, "data": entry["data"]}
        for number, (entry, votes) in enumerate(zip(tasks, annotations, strict=True), 1)
    ]


def write(path, tasks):
    path.write_text(json.dumps(tasks), "utf-8")
    return path
