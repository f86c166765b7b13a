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
    run = restore.known(TrainOutputs(model, root)) or restore.restore(model, root)
    return trained_run(run.run_id, run.model_id)


@contextmanager
def _experiment_outputs(name: str, model: str | None) -> Iterator[tuple[str, Path]]:
    """The model, and a temporary folder with its outputs, the rows and the result of `validate`."""
    with scratch() as root, open_revision(name) as revision:
        revision.download([OUTPUTS, DATA_POINTER], root)
        trained = _trained(root)
        if model is None:
            before = root / "before"
            before.mkdir()
            lock = file_at(f"{revision.commit}^", OUTPUTS) or "{}"
            (before / OUTPUTS).write_text(lock, encoding="utf-8")
            old = _trained(before)
            anew = [each for each in trained if trained[each] != old.get(each)]
            if len(anew) != 1:
                found = f"trained {', '.join(anew) or 'nothing'} anew"
                raise UsageError(f"experiment {name}: {found}; {_choice(trained)}")
            [model] = anew
        if model not in trained:
            raise UsageError(f"experiment {name}: has no model {model!r}; {_choice(trained)}")
        rows, paths = [split_path("validation"), split_path("holdout")], trained[model]
        revision.download([VALIDATION, *rows, *paths], root)
        check_outputs([rows[0], *paths], root)  # the gate checks the other two
        yield model, root


def _trained(root: Path) -> dict[str, dict[Path, str]]:
    """For each model that dvc.lock in `root` has: its training outputs and their md5."""
    outputs = recorded_outputs(root)
    models = [path.parent.name for path in outputs if path.match("train/*/run.json")]
    folders = {model: TrainOutputs(model).folder for model in models}
    return {
        model: {path: md5 for path, md5 in outputs.items() if path.parent == folder}
        for model, folder in folders.items()
    }


def _choice(models: dict[str, dict[Path, str]]) -> str:
    return f"name one model: {', '.join(models) or 'it has none'}"
