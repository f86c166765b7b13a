"""The training to promote: a model's last one, a run's, or that of a DVC experiment."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from digits.core.artifacts import VALIDATION, TrainOutputs, split_path
from digits.core.errors import UsageError
from digits.core.files import scratch
from digits.core.provenance import DATA_POINTER, OUTPUTS, check_outputs, recorded_outputs
from digits.core.repository import file_at
from digits.core.revision import open_revision
from digits.params import Params
from digits.registry.versions import TrainedRun, trained_run
from digits.tracking import restore


@contextmanager
def candidate(
    model: str | None, run_id: str | None, experiment: str | None, params: Params
) -> Iterator[tuple[TrainedRun, Path]]:
    """The training's run, and the folder with the outputs that the gate judges it by.

    It is the one of the DVC `experiment` (name or revision; `model` may be None if it trained one
    model only), else that of the MLflow run `run_id`, else the last training of `model`.

    Raises:
        UsageError: there is no such training, or the experiment has several.
        ServiceError: outputs of the experiment are neither in DVC's cache nor in its remote.
        IntegrityError: outputs are not what dvc.lock records.
    """
    if experiment:
        with _experiment_outputs(experiment, model) as (trained, root):
            yield _known_or_restored(trained, root), root
    elif run_id:
        yield trained_run(run_id), Path()
    else:
        params.recipe(model or "")
        yield _known_or_restored(model or "", Path()), Path()


def _known_or_restored(model: str, root: Path) -> TrainedRun:
    """The training's run in this store; logged again if the store does not know it."""
    run = restore.known(TrainOutputs(model, root)) or restore.restore(model, root)
    return trained_run(run.run_id, run.model_id)


@contextmanager
def _experiment_outputs(name: str, model: str | None) -> Iterator[tuple[str, Path]]:
    """The model, and a temporary folder with its outputs, laid out as the project.

    The folder also holds the rows of validation and hold-out, and the result of `validate`.
    """
    with scratch() as root, open_revision(name) as revision:
        revision.download([OUTPUTS, DATA_POINTER], root)
        model = model or _only_trained(name, revision.commit, root)
        paths = _train_outputs(model, root)
        if not paths:
            raise UsageError(f"experiment {name}: has no model {model!r}; {_choice(root)}")
        rows = [split_path("validation"), split_path("holdout")]
        revision.download([VALIDATION, *rows, *paths], root)
        check_outputs([rows[0], *paths], root)  # the gate checks the other two
        yield model, root


def _only_trained(name: str, revision: str, root: Path) -> str:
    """The model whose training differs from that of the experiment's parent commit."""
    before = root / "before"
    before.mkdir()
    (before / OUTPUTS).write_text(file_at(f"{revision}^", OUTPUTS) or "{}", encoding="utf-8")
    anew = [
        model
        for model in _models(root)
        if _train_outputs(model, root) != _train_outputs(model, before)
    ]
    if len(anew) != 1:
        raise UsageError(
            f"experiment {name}: trained {', '.join(anew) or 'nothing'} anew; {_choice(root)}"
        )
    return anew[0]


def _train_outputs(model: str, root: Path) -> dict[Path, str]:
    """The md5 of each training output by dvc.lock in `root`."""
    folder = TrainOutputs(model).folder
    return {path: md5 for path, md5 in recorded_outputs(root).items() if path.parent == folder}


def _models(root: Path) -> list[str]:
    return [path.parent.name for path in recorded_outputs(root) if path.match("train/*/run.json")]


def _choice(root: Path) -> str:
    return f"name one model: {', '.join(_models(root)) or 'it has none'}"
