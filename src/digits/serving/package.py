"""Write a package: a folder that serves a registered model without this repository."""

from dataclasses import dataclass
from pathlib import Path

from digits.core.artifacts import read_split
from digits.core.dataset import Images
from digits.core.errors import DataError, UsageError, printable
from digits.core.files import folder_sha256, scratch
from digits.evaluation.confidence import threshold
from digits.params import Params
from digits.registry.card import card
from digits.registry.served import Served
from digits.serving import contents
from digits.serving.check import largest_difference
from digits.serving.model import DESCRIPTION, MODEL, SUMS, Confidence, Description

CACHES = ("__pycache__", ".pytest_cache", ".venv")


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

    It is written elsewhere, asked for all hold-out rows by its own server, and then moved there.

    Raises:
        UsageError: `out` holds something else.
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
        contents.write_folder(
            folder,
            model.files.network,
            description,
            card(model.origin, model.files),
            images,
            probabilities,
        )
        difference = largest_difference(folder, images, probabilities)
        _replace(out, folder, temporary / "before")
    sha256 = folder_sha256(out)
    return Package(out, model.origin.uri, len(images), difference, sha256)


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


def _check_out(out: Path) -> None:
    """Only what a package before wrote may be deleted."""
    if not out.exists():
        return
    if not out.is_dir():
        raise UsageError(f"--out {out}: is no folder")
    sums = out / SUMS
    lines = sums.read_text("utf-8", errors="replace").splitlines() if sums.is_file() else []
    names = {line.partition("  ")[2] for line in lines}
    files = {out / name for name in names} if {MODEL, DESCRIPTION} <= names else set()
    written = {sums, *files, *(parent for file in files for parent in file.parents)}
    for path in sorted(out.rglob("*")):
        if path not in written and not {*CACHES} & {*path.relative_to(out).parts}:
            found = printable(str(path.relative_to(out)))
            raise UsageError(f"--out {out}: holds {found}, which is no package's")


def _replace(out: Path, folder: Path, before: Path) -> None:
    """Move `folder` to `out`; what lies there goes to `before`, and returns if that fails."""
    if out.exists():
        out.rename(before)
    try:
        folder.rename(out)
    except OSError:
        if before.exists():
            before.rename(out)
        raise


def _holdout(model: Served) -> Images:
    images = read_split("holdout", classes=model.files.classes).data.images
    if images.shape[1:] != model.files.shape:
        raise DataError(
            f"artifacts/split/holdout.npz: images {images.shape[1:]}, "
            f"{model.origin.uri} takes {model.files.shape}"
        )
    return images
