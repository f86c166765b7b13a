"""Log a training and its evaluation from DVC's outputs, where the store does not know the run."""

from collections.abc import Mapping
from pathlib import Path

import mlflow

from digits.core import provenance
from digits.core.artifacts import (
    EVALUATED,
    SPLIT_SUMMARY,
    EvaluateOutputs,
    TrainOutputs,
    split_path,
)
from digits.core.dataset import load_split
from digits.core.errors import DataError, ServiceError
from digits.core.files import ANEW
from digits.params import load as load_params
from digits.tracking import evaluations, logged_model, runs, spool, store, view
from digits.tracking.record import Record


def restore_all() -> None:
    """Log each recorded training that the store does not know, with its evaluation if there is one.

    After `dvc pull` on another machine no stage runs, and the store there is empty.

    Raises:
        IntegrityError: an output is not what dvc.lock records.
    """
    params = load_params()
    recorded = [model for model in params.models if TrainOutputs(model).run.exists()]
    unknown = [model for model in recorded if known(TrainOutputs(model)) is None]
    if not unknown:
        return
    for model in unknown:
        evaluated = EvaluateOutputs(model)
        if evaluated.metrics.exists():
            provenance.check_outputs([*evaluated.folder.iterdir(), SPLIT_SUMMARY])
            read = provenance.recorded_inputs(f"evaluate@{model}")
            digests = {
                name: read[split_path(name)] for name in EVALUATED if split_path(name) in read
            }
            log_evaluation(model, digests)
        else:
            restore(model)
        print(f"{model}: logged again from DVC's outputs")


def log_evaluation(model: str, digests: Mapping[str, str]) -> None:
    """Upload the written evaluation to the model's run; an unknown run is logged again first.

    `digests` maps each split that was evaluated to the md5 of its file.
    """
    outputs = TrainOutputs(model)
    try:
        run_id, model_id = known(outputs) or restore(model)
    except ServiceError as error:
        record = outputs.read_run()
        if not store.is_away(error) or record.tracking_uri != store.portable_uri():
            raise
        run_id, model_id = record.run_id, record.model_id  # logged here, so the store knows it
    evaluations.log_evaluation(run_id, model_id, EvaluateOutputs(model), digests)


def known(outputs: TrainOutputs) -> tuple[str, str] | None:
    """Run id and model id of this training among the project's runs, or None.

    The run is the recorded one, or one that was restored from it.
    """
    record = outputs.read_run()
    own = store.connect()
    spool.send_left()
    with store.service_errors():
        # under `mlflow run` it was logged in any experiment, but in none of another project's
        experiments = mlflow.search_experiments()
        ids = [own, *(each.experiment_id for each in experiments if view.TAG not in each.tags)]
        if runs.find(f"attributes.run_id = '{record.run_id}'", *ids):
            return record.run_id, record.model_id or logged_model.of_run(record.run_id)
        restored = runs.find(
            f"tags.restored_from = '{record.run_id}' and attributes.status = 'FINISHED'", *ids
        )
    return (restored[-1].info.run_id, restored[-1].data.tags["model_id"]) if restored else None


def restore(model: str, root: Path = Path()) -> tuple[str, str]:
    """Log the recorded training as a new run tagged `restored_from`; returns run and model id.

    `root` is the project, or a folder with an experiment's outputs.

    Raises:
        DataError: an output of the training, or a validation row as an example, is missing.
        IntegrityError: an output of the training is not what dvc.lock records.
    """
    outputs = TrainOutputs(model, root)
    provenance.check_outputs(outputs.folder.iterdir())
    record = outputs.read_run()
    _check_present(outputs)
    example = load_split(root / split_path("validation")).data.images[:1]
    timing = {k: v for k, v in outputs.read_metrics().items() if k != "parameters"}
    with runs.active_run(
        record.name,
        what=f"Logged again from DVC's files; trained as run `{record.run_id}`.",
        params=record.params,
        tags={**record.tags, "restored_from": record.run_id},
        system_metrics=False,
    ) as active:
        for epoch, metrics in enumerate(outputs.read_history()):
            runs.log_epoch(epoch, metrics)
        if record.params_yaml:
            runs.log_params_file(record.params_yaml)
        runs.log_datasets(active.info.run_id, record.datasets)
        model_id = runs.log_model(outputs, example=example, metrics=timing)
        spool.log(Record(active.info.run_id, tags={"model_id": model_id}))
    return active.info.run_id, model_id


def _check_present(outputs: TrainOutputs) -> None:
    logged = (outputs.model, outputs.keras, outputs.calibration)
    if missing := [path for path in logged if not path.is_file()]:
        raise DataError(*(f"{path}: not found; {ANEW}" for path in missing))
