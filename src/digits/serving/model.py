"""The model of a package: its description, its files verified, its answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

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
    `splits` the md5 of each split, `model_sha256` the hash of the files that were registered.
    `confidence` is None for a version without calibration: its answers have no sets.
    """

    name: str
    version: str
    run_id: str
    git_commit: str
    data_md5: str
    splits: dict[str, str]
    model_sha256: str
    shape: tuple[int, int]
    class_names: list[str]
    picture: Picture
    confidence: Confidence | None

    @property
    def title(self) -> str:
        """Name and version, as answers give them."""
        return f"{self.name} {self.version}"


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded model with its description."""

    description: Description
    network: Network

    def answers(self, probabilities: Probabilities) -> list[dict[str, Any]]:
        """Per image: `predicted` class, `probabilities`, `answers` (the set), and `unsure`."""
        names = self.description.class_names
        predicted = probabilities.argmax(axis=1).tolist()
        answers: list[dict[str, Any]] = [
            {"predicted": names[label], "probabilities": row}
            for label, row in zip(predicted, probabilities, strict=True)
        ]
        if self.description.confidence:
            sets = answer_sets(probabilities, self.description.confidence.threshold)
            rows = zip(answers, sets.tolist(), unsure(sets).tolist(), strict=True)
            for answer, row, is_unsure in rows:
                answer["answers"] = [name for name, held in zip(names, row, strict=True) if held]
                answer["unsure"] = is_unsure
        return answers


def load(folder: Path) -> Model:
    """Verify and load the model of a package.

    Raises:
        IntegrityError: its files are not those that were packaged, or contradict each other.
    """
    check_files(folder)
    description = read_json(folder / DESCRIPTION, Description)
    network = inference.load(folder / MODEL, threads=1)  # the batcher has the threads
    sides = (network.shape, network.classes)
    if sides != (description.shape, len(description.class_names)):
        raise IntegrityError(
            f"{folder / MODEL}: has images and classes {sides}, {DESCRIPTION} says otherwise"
        )
    return Model(description, network)


def check_files(folder: Path) -> None:
    """Compare the files of a package with the hashes in SHA256SUMS.

    Raises:
        IntegrityError: files are gone, have changed, or are not in the list.
    """
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
    known = {SUMS, *sums} if sums else set()
    paths = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
    names = sorted(path.relative_to(folder) for path in paths)
    return [str(name) for name in names if str(name) not in known and not {*but} & {*name.parts}]
