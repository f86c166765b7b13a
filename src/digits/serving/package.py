"""Write a package: a folder that serves a registered model without this repository."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from digits.core.artifacts import read_split
from digits.core.dataset import Images, Probabilities
from digits.core.errors import DataError, IntegrityError, ServiceError, UsageError, printable
from digits.core.files import folder_sha256, scratch, sha256, write_text
from digits.evaluation.confidence import threshold
from digits.params import Params
from digits.registry.card import card
from digits.registry.served import Served
from digits.serving.model import (
    CACHES,
    DESCRIPTION,
    MODEL,
    SUMS,
    Confidence,
    Description,
    listed,
    load,
    unlisted,
)

REPOSITORY = Path(__file__).parents[3]
TEMPLATE = Path(__file__).with_name("template")
TOLERANCE = 1e-5  # of a probability


@dataclass(frozen=True, slots=True)
class Package:
    """A package that was written: its model, and how it was compared with it."""

    folder: Path
    model: str
    rows: int
    largest_difference: float
    sha256: str


def write_package(model: Served, out: Path, *, params: Params) -> Package:
    """Write the package of a version to the folder `out`, which is new, empty or a package.

    It is asked for all hold-out rows before it is moved there.

    Raises:
        UsageError: `out` holds something else, or params.yaml has another number of classes.
        DataError: the hold-out rows are missing, or are no images for this model.
        IntegrityError: the package answers otherwise than the model.
    """
    _check_out(out)
    images = _holdout(model)
    probabilities = model.predict(images)
    description = describe(model, params)
    out.parent.mkdir(parents=True, exist_ok=True)
    with scratch(out.parent) as temporary:
        folder = temporary / "package"
        write_folder(
            folder, model.files.network, description, card(model.origin, model.files), images[:1]
        )
        difference = largest_difference(folder, images, probabilities)
        if out.exists():
            shutil.rmtree(out)
        folder.rename(out)
    return Package(out, model.origin.uri, len(images), difference, folder_sha256(out))


def describe(model: Served, params: Params) -> Description:
    """What the package says of its model; class names and coverage are those of params.yaml.

    Raises:
        UsageError: params.yaml has another number of classes.
    """
    origin, names = model.origin, params.data.names
    if len(names) != model.files.classes:
        raise UsageError(
            f"params.yaml has {len(names)} classes, {origin.uri} {model.files.classes}"
        )
    confidence = None
    if calibration := model.files.calibration:
        coverage = params.confidence.coverage
        least = threshold(calibration.truth_probabilities, coverage)
        confidence = Confidence(coverage=coverage, threshold=least)
    return Description(
        name=origin.model,
        version=origin.version,
        run_id=origin.run_id,
        git_commit=origin.git_commit,
        data_md5=origin.data_md5,
        splits=origin.splits,
        model_sha256=origin.model_sha256,
        shape=model.files.shape,
        class_names=names,
        picture=model.picture,
        confidence=confidence,
    )


def write_folder(
    folder: Path, network: Path, description: Description, card: str, example: Images
) -> None:
    """Write all files of a package into a new folder.

    Args:
        network: the ONNX file.
        card: the model card, Markdown.
        example: images of an example of a request.
    """
    shutil.copytree(TEMPLATE, folder)
    shutil.copyfile(network, folder / MODEL)
    write_text(folder / DESCRIPTION, description.model_dump_json(indent=2) + "\n")
    write_text(folder / "MODEL_CARD.md", card)
    write_text(folder / "example.json", json.dumps({"inputs": example.tolist()}))
    wheel = _build_wheel(folder)
    lock, log = (REPOSITORY / f"requirements-serve{name}.lock" for name in ("", "-log"))
    own = f"./{wheel.name} --hash=sha256:{sha256(wheel)}\n"
    write_text(folder / "requirements.txt", lock.read_text("utf-8") + own)
    write_text(folder / "requirements-log.txt", "-r requirements.txt\n" + log.read_text("utf-8"))
    dockerfile, python = folder / "Dockerfile", "{}.{}".format(*sys.version_info)
    write_text(dockerfile, dockerfile.read_text("utf-8").replace("PYTHON", python))
    # in a git repository a package is no code of its project
    write_text(folder / ".gitignore", "*\n")
    files = unlisted(folder, {}, but=())
    write_text(folder / SUMS, "".join(f"{sha256(folder / file)}  {file}\n" for file in files))


def _build_wheel(folder: Path) -> Path:
    """This project as a wheel; the same code gives the same bytes."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory"]
    done = subprocess.run(
        [*command, folder.resolve()], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    if done.returncode:
        reason = printable(done.stderr.strip().rpartition("\n")[2])
        raise ServiceError(f"no wheel of {REPOSITORY} is built: {reason}")
    [wheel] = folder.glob("*.whl")
    return wheel


def largest_difference(folder: Path, images: Images, expected: Probabilities) -> float:
    """The largest difference of a probability between a package and `expected`.

    Raises:
        IntegrityError: the package answers otherwise: with another class, or with a probability
            that differs by more than TOLERANCE.
    """
    actual = load(folder).network.predict(images)
    difference = float(np.abs(actual - expected).max())
    others = int((actual.argmax(axis=1) != expected.argmax(axis=1)).sum())
    if others or difference > TOLERANCE:
        raise IntegrityError(
            f"package: of {len(images):,} hold-out rows {others} get another class than from the "
            f"model, probabilities differ by up to {difference:.1e}; nothing was written"
        )
    return difference


def _check_out(out: Path) -> None:
    """Only what a package before wrote may be deleted."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out}: is no folder")
    for name in unlisted(out, listed(out), but=CACHES):
        raise UsageError(f"--out {out}: holds {printable(name)}, which is no package's")


def _holdout(model: Served) -> Images:
    images = read_split("holdout", classes=model.files.classes).data.images
    if images.shape[1:] != model.files.shape:
        raise DataError(
            f"artifacts/split/holdout.npz: images {images.shape[1:]}, "
            f"{model.origin.uri} takes {model.files.shape}"
        )
    return images
