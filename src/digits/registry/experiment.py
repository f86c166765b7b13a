"""What a DVC experiment recorded, brought by its hashes from DVC's cache or remote."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException
from dvc.repo import Repo

from digits.core.artifacts import TrainOutputs, split_path
from digits.core.errors import ServiceError, UsageError
from digits.core.provenance import DATA_POINTER, OUTPUTS, check_outputs, file_at, recorded_outputs
from digits.registry.evidence import VALIDATION
from digits.tracking import store


@contextmanager
def fetched(name: str, model: str | None) -> Iterator[tuple[str, Path]]:
    """The model, and a folder laid out as the project, for the time of the block.

    It holds what the gate judges by: the training, the hold-out rows, the validation of the data.

    Args:
        name: Of the experiment, or its revision, as `dvc exp show` prints them.
        model: None: the only one that the experiment trained.

    Raises:
        UsageError: there is no such experiment, or it is not clear which model is meant.
        ServiceError: its outputs are neither in DVC's cache nor in its remote.
        IntegrityError: they are not what its dvc.lock says.
    """
    files = _at_revision(name)
    with store.scratch() as root:
        _bring(files, name, [OUTPUTS, DATA_POINTER], root)
        chosen = model or _only_trained(name, files.repo.get_rev(), root)
        trained = _outputs(chosen, root)
        if not trained:
            raise UsageError(f"experiment {name}: has no model {chosen!r}; {_choice(root)}")
        _bring(files, name, [VALIDATION, split_path("holdout"), *trained], root)
        check_outputs(trained, root)  # who judges checks the rest
        yield chosen, root


def _at_revision(name: str) -> DVCFileSystem:
    try:
        with Repo() as here:  # whose remotes count, not those that its commit had
            config = {key: here.config[key] for key in ("core", "remote")}
        files = DVCFileSystem(".", rev=name, config=config)
        files.repo.get_rev()  # first to look for the revision
        return files
    except DvcException as error:
        raise UsageError(
            f"experiment {name}: {_in_one_line(error)}; `dvc exp list --all-commits` names those "
            "that are here, `dvc exp pull REMOTE NAME` brings others"
        ) from None


def _bring(files: DVCFileSystem, name: str, paths: Iterable[Path], root: Path) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        try:
            files.get_file(str(path), str(root / path))
        except Exception as error:  # each kind of remote has its own
            raise ServiceError(
                f"experiment {name}: {path} is neither in DVC's cache nor in its remote "
                f"({_in_one_line(error)}); `dvc exp pull REMOTE {name}` brings it, "
                "or run the experiment again"
            ) from None


def _only_trained(name: str, revision: str, root: Path) -> str:
    """The model whose training is not that of the commit from which the experiment started."""
    before = root / "before"
    before.mkdir()
    (before / OUTPUTS).write_text(file_at(f"{revision}^", OUTPUTS) or "{}", encoding="utf-8")
    trained = [model for model in _models(root) if _outputs(model, root) != _outputs(model, before)]
    if len(trained) != 1:
        found = f"trained {', '.join(trained) or 'nothing'} anew"
        raise UsageError(f"experiment {name}: {found}; {_choice(root)}")
    return trained[0]


def _outputs(model: str, root: Path) -> dict[Path, str]:
    folder = TrainOutputs(model).folder
    return {path: md5 for path, md5 in recorded_outputs(root).items() if path.parent == folder}


def _models(root: Path) -> list[str]:
    return [path.parent.name for path in recorded_outputs(root) if path.match("train/*/run.json")]


def _choice(root: Path) -> str:
    return f"name one model: {', '.join(_models(root)) or 'it has none'}"


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
