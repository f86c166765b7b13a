"""Logging a training again, from DVC's outputs, where the tracking store does not know its run."""

from mlflow import MlflowClient
from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException

from digits.core import provenance
from digits.core.artifacts import TrainOutputs, split_path
from digits.tracking import runs, store


def known(outputs: TrainOutputs) -> tuple[str, str] | None:
    """Run id and model id of this training in the present store, or None.

    It is the recorded run, or one that was restored from it.
    """
    record = outputs.read_run()
    store.connect()
    client = MlflowClient()
    with store.service_errors():
        try:
            if client.get_run(record.run_id).info.lifecycle_stage == "active":
                return record.run_id, record.model_id
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
        restored = client.search_runs(
            # in any experiment: under `mlflow run` it was logged beside the project's run
            [experiment.experiment_id for experiment in client.search_experiments()],
            f"tags.restored_from = '{record.run_id}' and attributes.status = 'FINISHED'",
            run_view_type=ViewType.ACTIVE_ONLY,
        )
    return (restored[0].info.run_id, restored[0].data.tags["model_id"]) if restored else None


def restore(outputs: TrainOutputs) -> tuple[str, str]:
    """Log the recorded training as a new run tagged `restored_from`; returns run and model id.

    Raises:
        IntegrityError: an output of the training is not what dvc.lock records.
    """
    from digits.training import inference

    provenance.check_outputs(outputs.folder.iterdir())
    record = outputs.read_run()
    model = inference.load(outputs.model)
    timing = {k: v for k, v in outputs.read_metrics().items() if k != "parameters"}
    tags = {**record.tags, "restored_from": record.run_id}
    with runs.run(record.name, params=record.params, tags=tags) as active:
        for epoch, metrics in enumerate(outputs.read_history()):
            runs.log_epoch(epoch, metrics)
        if record.params_yaml:
            runs.log_params_file(record.params_yaml)
        runs.log_datasets(record.datasets, source=str(split_path("{}")))
        model_id = runs.log_model(model, metrics=timing)
        MlflowClient().set_tag(active.info.run_id, "model_id", model_id)
    return active.info.run_id, model_id
