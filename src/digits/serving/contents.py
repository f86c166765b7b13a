"""The files of a package: the model, the modules that serve it, pinned requirements, a template."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from digits.core.dataset import Images, Probabilities
from digits.core.errors import ServiceError
from digits.core.files import sha256_lines, write_text
from digits.serving.check import fitting
from digits.serving.model import DESCRIPTION, MODEL, SUMS, Description

TEMPLATE = Path(__file__).with_name("template")
LOCK = Path("requirements.lock")
EXAMPLES = 20  # images by which the package's own tests know the model
NEEDED = (
    *("numpy", "onnxruntime", "pillow", "pydantic"),
    *("starlette", "uvicorn", "httptools", "uvloop", "orjson", "prometheus-client"),
)

# prints each module of digits that is loaded when a package starts, with its file
_LOADED = """
import json, sys, digits.serving.__main__
print(json.dumps({name: module.__file__ for name, module in sys.modules.items()
                  if name.partition(".")[0] == "digits"}))
"""
_PIN = re.compile(r"^(?P<name>[\w.-]+)==(?P<version>[^\s;]+).*(?:\n +--hash.*)+", re.MULTILINE)


def write_folder(
    folder: Path,
    network: Path,
    description: Description,
    card: str,
    images: Images,
    probabilities: Probabilities,
) -> None:
    """Write all files of a package.

    Args:
        folder: is made here.
        network: the ONNX file.
        card: the model card, Markdown.
        images, probabilities: images and the model's answers; the package's own tests compare
            as many of them as fit into a request, at most EXAMPLES.
    """
    shutil.copytree(TEMPLATE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for path, file in modules().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, folder / path)
    shutil.copyfile(network, folder / MODEL)
    write_text(folder / DESCRIPTION, description.model_dump_json(indent=2) + "\n")
    write_text(folder / "MODEL_CARD.md", card)
    example = {"inputs": images[:1].tolist()}
    count = fitting(images, EXAMPLES)
    expected = {
        "images": images[:count].tolist(),
        "probabilities": probabilities[:count].tolist(),
    }
    write_text(folder / "example.json", json.dumps(example))
    write_text(folder / "expected.json", json.dumps(expected))
    for name, needed in {"": NEEDED, "-log": ["pyarrow"], "-test": ["pytest"]}.items():
        lines = requirements(needed, without=NEEDED if name else ())
        first = "-r requirements.txt\n" if name else ""
        write_text(folder / f"requirements{name}.txt", first + lines)
    dockerfile, version = folder / "Dockerfile", "{}.{}".format(*sys.version_info)
    write_text(dockerfile, dockerfile.read_text("utf-8").replace("PYTHON", version))
    # in a git repository a package is no code of its project
    write_text(folder / ".gitignore", "*\n")
    write_text(folder / SUMS, sha256_lines(folder))


def modules() -> dict[str, Path]:
    """The modules of digits that the server loads: path in the package → file."""
    done = subprocess.run(
        [sys.executable, "-c", _LOADED], capture_output=True, text=True, check=True, timeout=60
    )
    found = {}
    for name, file in json.loads(done.stdout).items():
        path = Path(*name.split("."))
        is_package = Path(file).name == "__init__.py"
        found[str(path / "__init__.py" if is_package else path.with_suffix(".py"))] = Path(file)
    return found


def requirements(names: Iterable[str], *, without: Iterable[str] = ()) -> str:
    """The lines of requirements.lock for these distributions and all that they need.

    `without` leaves out what these need. What is needed is read from what is installed here.

    Raises:
        ServiceError: the lock has not the version that is installed here.
    """
    pins = {canonicalize_name(pin["name"]): pin for pin in _PIN.finditer(LOCK.read_text("utf-8"))}
    lines = []
    for name in sorted(_closure(names) - _closure(without)):
        pin = pins.get(name)
        if pin is None or pin["version"] != version(name):
            raise ServiceError(
                f"{name} {version(name)} is installed, {LOCK} has another version; "
                "`make .venv/.done` installs what it has"
            )
        lines.append(pin[0])
    return "\n".join([*lines, ""])


def _closure(names: Iterable[str]) -> set[NormalizedName]:
    """These distributions and all that they need on this platform."""
    found: set[NormalizedName] = set()
    waiting = {canonicalize_name(name) for name in names}
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= set(_needs(name)) - found
    return found


def _needs(name: NormalizedName) -> Iterator[NormalizedName]:
    try:
        texts = requires(name) or []
    except PackageNotFoundError:
        raise ServiceError(f"{name} is not installed; `make .venv/.done` installs it") from None
    for requirement in map(Requirement, texts):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield canonicalize_name(requirement.name)
