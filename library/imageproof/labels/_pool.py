"""The command `to-label`: a folder of pictures without labels, of which some become tasks."""

import os
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import numpy as np
import pandas as pd

from imageproof.answer._predict import set_threshold
from imageproof.artifacts import WORKSPACE
from imageproof.base._dataset import Probabilities
from imageproof.base._inference import Features, load_features
from imageproof.base.errors import DataError
from imageproof.base.text import first_names
from imageproof.data import packed
from imageproof.data._sources import in_chunks
from imageproof.data.packing import convert
from imageproof.data.readers._folders import BYTES
from imageproof.data.readers._versioned import list_files
from imageproof.data.splitting import YES
from imageproof.features._descriptors import coarse_pixels
from imageproof.labels._choosing import choose, uncertain_first
from imageproof.labels._studio import task, write_tasks
from imageproof.labels._taking import list_extensible
from imageproof.pictures._reading import SUFFIXES, is_picture
from imageproof.project import Project
from imageproof.registry._version import Version


class Pool(NamedTuple):
    """Pictures that are not in the data, and what a model makes of them.

    `pictures` has file (a path in the folder) and hash. `features` are the probabilities if the
    model keeps none. `coarse` are pixels. All arrays are float32 (n, …).
    """

    files: int  # in the folder
    pictures: pd.DataFrame
    probabilities: Probabilities
    features: Features
    coarse: Features


def write_chosen(
    folder: Path,
    model: Version,
    project: Project,
    *,
    count: int,
    out: Path,
) -> list[str]:
    """Choose `count` pictures of a folder, and write them as tasks; a sentence for each step.

    A DataError if there is no picture to choose, data/ can take none, or the model knows other
    classes than the data.
    """
    list_extensible()
    uri = model.origin.uri
    names = model.files.class_names
    if names != project.class_names:
        classes = first_names(project.class_names)
        fault = f"knows the classes {first_names(names)}, the data has {classes}"
        raise DataError(f"{uri}: {fault}; --model names another")
    pool = _read(folder, model)
    order = uncertain_first(pool.probabilities, set_threshold(model, project.confidence.coverage))
    # the project's seed alone would draw the same ranks of uncertainty in all pools of one size
    seed = crc32(f"{project.seed} {' '.join(pool.pictures['hash'])}".encode())
    chosen, random = choose(order, pool.features, pool.coarse, count=count, seed=seed)

    tasks = []
    for row in sorted([*chosen, *random]):  # in the order of the names, which says nothing
        probabilities = pool.probabilities[row]
        name = names[probabilities.argmax()]
        data = {"only_train": YES if row in chosen else "", **pool.pictures.loc[row]}
        score = float(probabilities.max())
        tasks.append(task(folder / data["file"], uri, name, score, **data))
    write_tasks(out, tasks, names)
    return [
        f"{folder}: {len(pool.pictures):,} pictures that can be read and are not in the data, "
        f"of {pool.files:,} files",
        f"{len(chosen):,} of them that {uri} is least sure of, spread out: for training only",
        f"{len(random):,} of them at random: for any part",
    ]


def _read(folder: Path, model: Version) -> Pool:
    """The pictures in a folder and in those within it."""
    names = list_files(folder).visible
    files = [name for name in names if is_picture(name) and name.isprintable()]
    paths = pd.Series([os.fsencode(folder / file) for file in files], dtype=BYTES)
    describe = load_features(model.files.network, threads=model.threads) or model.predict
    hashes: list[str] = []
    answers = []
    for images, table in in_chunks(convert, [paths], model.files.shape, model.fit):
        answers.append((model.predict(images), describe(images), coarse_pixels(images)))
        sources = table[packed.SOURCE_HASH].astype(object)
        hashes += packed.hex_hashes(sources).tolist()  # "" of what cannot be read
    pictures = pd.DataFrame({"file": files, "hash": hashes})
    is_old = pictures["hash"].isin(["", *packed.load_hashes(WORKSPACE.pack)])
    pictures = pictures[~is_old & ~pictures["hash"].duplicated()]
    if pictures.empty:
        reason = f"{len(names):,} files, of which none can be read and is not in the data"
        raise DataError(f"{folder}: {reason}; {', '.join(SUFFIXES)} are allowed")
    arrays = [np.concatenate(parts)[pictures.index] for parts in zip(*answers, strict=True)]
    return Pool(len(names), pictures.reset_index(drop=True), *arrays)
