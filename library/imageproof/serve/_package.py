"""Write a package: a folder that serves a registered model without this repository."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from imageproof.answer._predict import set_threshold
from imageproof.artifacts import WORKSPACE
from imageproof.base._dataset import Images
from imageproof.base._naming import project_name
from imageproof.base.errors import IntegrityError, ServiceError, UsageError
from imageproof.base.files import folder_sha256, scratch, sha256, template_file, write_text
from imageproof.dvc.provenance import check_outputs
from imageproof.registry._card import card
from imageproof.registry._version import Version
from imageproof.serve._model import (
    MODEL,
    SHADOW,
    SUMS,
    Confidence,
    Description,
    load,
)
from imageproof.system.guard import names_variable

Models = dict[str, tuple[Path, Description]]  # networks and what is said of them, by file name

LIBRARY = Path(__file__).parents[2]
TOLERANCE = 1e-5  # of a probability


class Package(NamedTuple):
    folder: Path
    model: str
    rows: int
    largest_difference: float
    sha256: str


def write_package(
    model: Version,
    out: Path,
    *,
    coverage: float,
    challenger: Version | None = None,
) -> Package:
    """Write the package of a version to the new folder `out`; it asks the challenger, too.

    IntegrityError if hold-out rows have changed, or get other answers: from the package than from
    the model, or from the model itself where they are asked otherwise. UsageError if the model
    takes images of another size.
    """
    about = _describe(model, coverage)
    models = {MODEL: (model.files.network, about)}
    if challenger:
        models[SHADOW] = (challenger.files.network, _describe_shadow(challenger, about))
    check_outputs([WORKSPACE.split("holdout")])
    images = WORKSPACE.read_split("holdout").data.images
    if (size := images.shape[1:]) != model.files.shape:
        finding = f"takes images {model.files.shape}, the hold-out rows here are {size}"
        raise UsageError(f"{model.origin.uri}: {finding}")
    finding, _ = model.files.inconsistency(images)
    if finding:
        raise IntegrityError(f"{model.origin.uri}: {finding}; nothing was written")
    probabilities = model.predict(images)
    out.parent.mkdir(parents=True, exist_ok=True)
    with scratch(out.parent) as temporary:
        folder = temporary / "package"
        write_folder(folder, models, card(model), images[:1])
        difference = float(np.abs(load(folder).network.predict(images) - probabilities).max())
        if not difference <= TOLERANCE:  # NaN is not
            finding = f"differ from the model's by up to {difference:.1e}; nothing was written"
            raise IntegrityError(f"package: answers to the hold-out rows {finding}")
        folder.rename(out)
    return Package(out, model.origin.uri, len(images), difference, folder_sha256(out))


def _describe(model: Version, coverage: float) -> Description:
    """What the package says of its model."""
    origin = model.origin
    return Description(
        name=origin.model,
        version=origin.version,
        model_sha256=origin.model_sha256,
        shape=model.files.shape,
        class_names=model.files.class_names,
        fit=model.fit,
        confidence=Confidence(coverage=coverage, threshold=set_threshold(model, coverage)),
    )


def _describe_shadow(challenger: Version, about: Description) -> Description:
    """The same of a challenger; UsageError if it has another shape or other classes."""
    description = _describe(challenger, about.confidence.coverage)
    for name in ("shape", "class_names"):
        value = getattr(description, name)
        if value != getattr(about, name):
            finding = f"has the {name} {value}, {about.title} {getattr(about, name)}"
            raise UsageError(f"--shadow {challenger.origin.uri}: {finding}")
    return description


def write_folder(
    folder: Path,
    models: Models,
    card: str,
    image: Images,
) -> None:
    """Write all files of a package into a new folder; `image` is that of the example request."""
    folder.mkdir()
    python = "{}.{}".format(*sys.version_info)
    for file in Path(__file__).with_name("template").iterdir():
        text = template_file(file).read_text("utf-8")
        text = text.replace("PYTHON", python).replace("NAMES_VARIABLE", names_variable())
        write_text(folder / file.name, text)
    own_page = Path("templates", "home.html")
    if own_page.is_file():
        (folder / "templates").mkdir()
        shutil.copyfile(own_page, folder / own_page)
    for name, (network, description) in models.items():
        path = folder / name
        shutil.copyfile(network, path)
        write_text(path.with_suffix(".json"), description.model_dump_json(indent=2) + "\n")
    write_text(folder / "MODEL_CARD.md", card)
    write_text(folder / "example.json", json.dumps({"inputs": image.tolist()}))
    wheel = _build_wheel(folder)
    lock = (LIBRARY / "requirements-serve.lock").read_text("utf-8")
    lock += f"./{wheel.name} --hash=sha256:{sha256(wheel)}\n"
    write_text(folder / "requirements.txt", lock)
    log_lock = (LIBRARY / "requirements-serve-log.lock").read_text("utf-8")
    write_text(folder / "requirements-log.txt", f"-r requirements.txt\n{log_lock}")
    # its metrics and variables have the name of the project, too
    write_text(folder / "pyproject.toml", f'[tool.imageproof]\nname = "{project_name()}"\n')
    write_text(folder / ".gitignore", "*\n")  # in a git repository a package is no code of it
    write_sums(folder)


def write_sums(folder: Path) -> None:
    """Write the hashes of all files, as `sha256sum` reads them."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    sums = [f"{sha256(file)}  {file.relative_to(folder)}\n" for file in files]
    write_text(folder / SUMS, "".join(sums))


def _build_wheel(folder: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory"]
    command.append(str(folder.resolve()))
    done = subprocess.run(command, cwd=LIBRARY, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = done.stderr.strip().rpartition("\n")[2]  # the end of a traceback
        raise ServiceError(f"no wheel of {LIBRARY} is built: {reason}")
    return next(folder.glob("*.whl"))
