"""Bringing the tracking store up to what DVC's outputs record."""

from digits import params
from digits.core import process, provenance
from digits.core.artifacts import SPLITS, EvaluateOutputs, TrainOutputs, split_path


def restore_all() -> None:
    """Log again each recorded training, evaluation included, that the store does not know.

    After `dvc pull` on another machine no stage runs, and the store there is empty.

    Raises:
        IntegrityError: an output is not what dvc.lock records.
    """
    checked = params.load()
    recorded = [name for name in checked.models if TrainOutputs(name).run.exists()]
    missing = [name for name in recorded if not _known(name)]
    if not missing:
        return
    with process.quiet_tensorflow(checked.train.threads):
        from digits.reporting.publishing import publish
        from digits.tracking import restore
    splits = [split_path(split) for split in SPLITS]
    for name in missing:
        if EvaluateOutputs(name).metrics.exists():
            provenance.check_outputs([*EvaluateOutputs(name).folder.iterdir(), *splits])
            publish(name, names=checked.data.names)
        else:
            restore.restore(TrainOutputs(name))
        print(f"{name}: logged again from DVC's outputs")


def _known(name: str) -> bool:
    from digits.tracking import restore

    return restore.known(TrainOutputs(name)) is not None
