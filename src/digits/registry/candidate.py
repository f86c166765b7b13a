"""The training to promote: a model's last one, a run's, or that of a DVC experiment."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from digits.core.artifacts import EVALUATED, VALIDATION, TrainOutputs, split_path
from digits.core.errors import UsageError
from digits.core.files import scratch
from digits.core.provenance import DATA_POINTER, OUTPUTS, check_outputs, recorded_outputs
from digits.core.revision import open_revision
from digits.params import Params
from digits.registry.versions import TrainedRun, trained_run
from digits.tracking import restore


@contextmanager
def candidate(
    model: str | None, run_id: str | None, experiment: str | None, params: Params
) -> Iterator[tuple[TrainedRun, Path]]:
    """The training's run, and the folder with the outputs that the gate judges it by.

    IntegrityError if outputs are not what dvc.lock records.
    """
    if run_id:
        yield trained_run(run_id), Path()
        return
    name, root = model or "", Path()
    with scratch() as folder:
        if experiment:
            _download(experiment, name, root := folder)
        else:
            params.recipe(name)  # an unknown one is a line
        known = restore.known(TrainOutputs(name, root)) or restore.restore(name, root)
        yield trained_run(known.info.run_id), root


def _download(experiment: str, model: str, root: Path) -> None:
    """A model's outputs, the rows that it is judged by and the result of `validate`."""
    with open_revision(experiment) as revision:
        revision.download([OUTPUTS, DATA_POINTER], root)
        recorded = recorded_outputs(root)
        paths = [path for path in recorded if path.parent == TrainOutputs(model).folder]
        if not paths:
            models = [path.parent.name for path in recorded if path.match("train/*/run.json")]
            known = f"name one model: {', '.join(models) or 'it has none'}"
            raise UsageError(f"experiment {experiment}: has no model {model!r}; {known}")
        rows = [split_path(name) for name in ("validation", *EVALUATED)]
        revision.download([VALIDATION, *rows, *paths], root)
        check_outputs([rows[0], *paths], root)  # the gate checks the others
