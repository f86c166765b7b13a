"""The model of a package: its description, its files verified, its answers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import Field

from digits.core.dataset import Picture, Probabilities
from digits.core.errors import IntegrityError
from digits.core.files import StrictModel, read_json, sha256
from digits.evaluation.confidence import answer_sets, unsure
from digits.training import inference
from digits.training.inference import Network

MODEL, DESCRIPTION, SUMS = "model.onnx", "model.json", "SHA256SUMS"
CACHES = ("__pycache__", ".pytest_cache", ".venv")
LOG = "log"  # where .dockerignore and README.md expect the log


class Confidence(StrictModel):
    """Answer sets: the share that shall hold the true class, and the probability this needs."""

    coverage: Annotated[float, Field(gt=0, lt=1)]
    threshold: Annotated[float, Field(ge=0, le=1)]


class Description(StrictModel):
    """model.json: the model's name and version, its origin, and how its answers are to be read.

    `shape` is height and width of its images, `picture` how a picture of another form becomes one,
    `model_sha256` the hash of the files that were registered.
    """

    name: str
    version: str
    model_sha256: str
    shape: tuple[int, int]
    class_names: list[str]
    picture: Picture
    confidence: Confidence

    @property
    def title(self) -> str:
        """Name and version, as answers give them."""
        return f"{self.name} {self.version}"


class Model(NamedTuple):
    """A loaded model with its description."""

    description: Description
    network: Network

    def answers(self, probabilities: Probabilities) -> list[dict[str, Any]]:
        """Per image: `predicted` class, `probabilities`, `answers` (the set), and `unsure`."""
        names = self.description.class_names
        sets = answer_sets(probabilities, self.description.confidence.threshold)
        rows = zip(probabilities, sets, unsure(sets).tolist(), strict=True)
        return [
            {
                "predicted": names[row.argmax()],
                "probabilities": row,
                "answers": [names[label] for label in np.flatnonzero(chosen)],
                "unsure": is_unsure,
            }
            for row, chosen, is_unsure in rows
        ]


def load(folder: Path) -> Model:
    """Load the model of a package; IntegrityError if its files are not those in SHA256SUMS."""
    sums = listed(folder)
    if not sums:
        raise IntegrityError(f"{folder / SUMS}: does not list {MODEL}, so this is no package")
    findings = [f"{folder / name}: is not in {SUMS}" for name in unlisted(folder, sums)]
    findings += [
        f"{folder / name}: is not the file that was packaged (by {SUMS}); make the package again"
        for name, digest in sums.items()
        if not (folder / name).is_file() or sha256(folder / name) != digest
    ]
    if findings:
        raise IntegrityError(*findings)
    description = read_json(folder / DESCRIPTION, Description)
    return Model(description, inference.load(folder / MODEL, threads=1))


def listed(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file by a package's list; empty if there is no list with a model."""
    path = folder / SUMS
    lines = path.read_text("utf-8", errors="replace").splitlines() if path.is_file() else []
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    return sums if {MODEL, DESCRIPTION} <= sums.keys() else {}


def unlisted(
    folder: Path, sums: Mapping[str, str], *, but: tuple[str, ...] = (*CACHES, LOG)
) -> list[str]:
    """Files of a folder that the list does not name, but for those in folders named `but`."""
    paths = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    names = (path.relative_to(folder) for path in paths)
    found = {str(name) for name in names if not {*but} & {*name.parts}}
    return sorted(found - ({SUMS, *sums} if sums else set()))
