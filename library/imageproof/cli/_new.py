"""The command `new`: a project of one's own, from the files that git tracks, under a new name.

Its library/ is the same as here, to the byte, so that `update` can follow this one.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path

from imageproof.base._naming import project_name
from imageproof.base.errors import ServiceError, UsageError
from imageproof.base.files import read_yaml, scratch
from imageproof.base.text import one_line
from imageproof.cli._update import LIBRARY, library_at, record_commit, write_file
from imageproof.system._repository import git

NAME = re.compile(r"[a-z][a-z0-9]{0,29}")  # package, command, database user and bucket
YAML_WORDS = ("no", "null", "off", "on")  # read as another type where a name is meant
# Our data, results, history and tests; git pathspecs.
LEFT_OUT = (
    *("data.dvc", "dvc.lock", "artifacts", ".dvc/config", "README.md"),
    *("CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "docs/contributing.md", ".ci"),
    *("benchmarks", "docs/benchmarks.*", "docs/pictures/*.png", "dvc-store", "library"),
    "tests",
    ".github/workflows/new-project.yml",
)
# The tests of what a new project edits.
TESTS = (
    *("tests/conftest.py", "tests/support.py", "tests/models/test_models.py"),
    *("tests/test_contract.py", "tests/test_params.py"),
)
# In the other files, a line that names one of these; and what a notebook printed.
DROPPED_LINES = re.compile(
    r"^.*(benchmarks|contributing\b|CONTRIBUTING|CHANGELOG|dvc-store|docs/pictures/\w+\.png).*\n"
    r"|^test-library:.*\n.*\n"
    r"|^library/tests.*\n"
    r"|(?<=\"outputs\": \[)\n(?:    .*\n)+   "
    r"|^!\[.*\]\(.*\.png\)\n\n?",
    re.MULTILINE,
)
STORE = "dvc-store"  # a DVC remote within the repository: of a new project, for its backbones
DVC_CONFIG = f"""[core]
    analytics = false
    autostage = true
    check_update = false
['remote "bundled"']
    url = ../{STORE}
"""
MODELS = ("compact", "features")  # those that a new project trains


def create(target: Path) -> str:
    """Write the project into a new folder, whose name is its own, and commit it.

    Returns what to do next; UsageError if name or folder cannot be taken, or run elsewhere. After
    an error there is no folder.
    """
    root = Path.cwd()
    excluded = [f":!{path}" for path in LEFT_OUT]
    tracked = _tracked(root, ".")
    path = target.resolve()
    name = path.name
    _check(name, root, tracked)
    if path.is_relative_to(root):
        raise UsageError(f"{target}: is within this repository; choose a folder outside of it")
    if path.exists() and any(path.iterdir()):
        raise UsageError(f"{target}: exists and is no empty folder; choose a new folder")
    commit = git(root, "rev-parse", "HEAD")
    path.parent.mkdir(parents=True, exist_ok=True)
    with scratch(path.parent) as temporary:
        folder = temporary / name
        git(temporary, "init", "--quiet", "--initial-branch", "main", name)
        for file in [*_tracked(root, ".", *excluded), *_tracked(root, *TESTS)]:
            if (root / file).is_file():
                author = project_name() if file.name == "NOTICE" else name  # its words stay
                _copy(root / file, folder / renamed(str(file), name), author)
        for file, content in library_at(root, commit).items():
            write_file(folder / file, content)
        (folder / ".dvc/config").write_text(DVC_CONFIG)
        shutil.copy(folder / "src" / name / "new.md", folder / "README.md")
        record_commit(folder / "pyproject.toml", commit)
        _take_backbones(root, folder)
        _choose_models(folder)
        _tidy(folder)
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "--message", f"Start {name}")
        folder.replace(path)
    changed = git(root, "status", "--porcelain", "--", str(LIBRARY))
    left_out = f"{LIBRARY}/ is that of the last commit, without your changes to it\n"
    return left_out * bool(changed) + (
        f"{target}: put images into data/, in a folder for each class\n"
        f"then there: make install && . .venv/bin/activate && {name} adapt --write && "
        "dvc add data && git commit --all --message 'Our data' && make run"
    )


def _tracked(root: Path, *pathspecs: str) -> list[Path]:
    paths = git(root, "ls-files", "-z", "--", *pathspecs).split("\0")
    return [Path(path) for path in paths if path]


def renamed(text: str, name: str) -> str:
    """The text with our name replaced, as `name`, `Name` and `NAME`, in identifiers too."""

    def replace(match: re.Match[str]) -> str:
        if match[0].isupper():
            return name.upper()
        return name.title() if match[0].istitle() else name

    return re.sub(rf"(?<![A-Za-z])(?i:{project_name()})(?![a-z])", replace, text)


def _check(name: str, root: Path, tracked: Sequence[Path]) -> None:
    if not NAME.fullmatch(name) or iskeyword(name) or name in YAML_WORDS:
        raise UsageError(
            f"{name}: is no name for a project; 1 to 30 characters from a to z and 0 to 9 are"
            " allowed, with a letter first"
        )
    paths = {part for path in tracked for part in path.with_suffix("").parts}
    lock = (root / "requirements.lock").read_text("utf-8")
    packages = {*re.findall(r"^(\w+)==", lock, re.MULTILINE)}  # Pillow's module is PIL
    if name in paths | packages or find_spec(name):
        raise UsageError(f"{name}: is a name that is used here; choose another")


def _copy(source: Path, target: Path, name: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)
    try:
        text = source.read_text("utf-8")
    except UnicodeDecodeError:  # a picture
        return
    target.write_text(renamed(DROPPED_LINES.sub("", text), name), "utf-8")


def _take_backbones(root: Path, folder: Path) -> None:
    """Copy the files that `backbones/*.dvc` name, and put them into the project's own remote."""
    for pointer in folder.glob("backbones/*.dvc"):
        [output] = read_yaml(pointer)["outs"]
        stored = Path(STORE, "files", "md5", output["md5"][:2], output["md5"][2:])
        (folder / stored).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / stored, folder / stored)
        shutil.copy(root / stored, pointer.with_suffix(""))


def _choose_models(folder: Path) -> None:
    """Train what suits photographs, too."""
    params = folder / "params.yaml"
    line = f"models: [{', '.join(MODELS)}]"
    params.write_text(re.sub(r"^models: \[.*\]", line, params.read_text("utf-8"), flags=re.M))
    pipeline = folder / "dvc.yaml"
    text = pipeline.read_text("utf-8")
    entries = (
        f"  {model}:\n    path: artifacts/train/{model}/model.onnx\n    type: model\n"
        for model in MODELS
    )
    head, heading, _ = text.partition("\nartifacts:\n")
    pipeline.write_text(head + heading + "".join(entries))


def _tidy(folder: Path) -> None:
    """Sort imports and wrap code, as another name sorts and wraps otherwise."""
    path = folder / "pyproject.toml"  # what is not code may be too long now
    path.write_text(path.read_text("utf-8").replace("\nignore = [", '\nignore = ["E501", ', 1))
    for command in (("check", "--select", "I", "--fix"), ("format",)):
        ruff = [sys.executable, "-m", "ruff", *command, "--quiet"]
        done = subprocess.run(ruff, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            output = one_line(done.stdout + done.stderr, width=300)
            raise ServiceError(f"ruff {command[0]}: {output}")
